from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "REPLICAS": 2.0}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICAS'] is 2.0: expected int, got number. Write a positive integer.
"""
