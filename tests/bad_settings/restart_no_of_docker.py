from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "RESTART": "no"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['RESTART'] must be one of never, on-failure, always; got 'no'.
"""
