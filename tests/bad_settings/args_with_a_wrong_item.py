from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", 1000]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: expected str, got int at [1].
"""
