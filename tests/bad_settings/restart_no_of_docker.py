from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "RESTART": "no"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['RESTART'] is 'no', which it cannot be. It can be never,
    on-failure, always.
"""
