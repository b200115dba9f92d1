from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"MAX_LINE": 0}

MESSAGE = """
PRODUCTION_SUPERVISOR['MAX_LINE'] is 0: expected int >= 1. Write a positive number of bytes.
"""
