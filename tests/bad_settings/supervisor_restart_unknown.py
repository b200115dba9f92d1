from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"RESTART": "sometimes"}

MESSAGE = """
PRODUCTION_SUPERVISOR['RESTART'] must be one of never, on-failure, always; got 'sometimes'.
"""
