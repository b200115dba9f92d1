from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "REPLICAS": True}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICAS'] is True: expected int, got bool. Write a positive integer.
"""
