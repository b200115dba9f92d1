from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"RESTART": "sometimes"}

MESSAGE = """
PRODUCTION_SUPERVISOR['RESTART'] is 'sometimes', which it cannot be. It can be never,
    on-failure, always.
"""
