from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"STDERR": "seperate"}

MESSAGE = """
PRODUCTION_SUPERVISOR['STDERR'] is 'seperate', which it cannot be. Did you mean 'separate'? It
    can be merge, separate.
"""
