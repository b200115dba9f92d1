from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "RESTART": True}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['RESTART'] is True, which it cannot be. It can be never, on-failure,
    always.
"""
