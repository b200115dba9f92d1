from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": "sleep 1000\0"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] contains a null character.
"""
