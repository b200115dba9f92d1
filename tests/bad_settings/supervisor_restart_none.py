from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"RESTART": None}

MESSAGE = """
PRODUCTION_SUPERVISOR['RESTART'] is None, which it cannot be. It can be never, on-failure, always.
"""
