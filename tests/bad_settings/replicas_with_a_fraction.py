from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "REPLICAS": 2.5}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICAS'] is 2.5: expected int, got number. Write a positive integer.
"""
