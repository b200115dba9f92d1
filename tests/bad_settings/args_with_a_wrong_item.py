from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", 1000]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: expected str, got int at [1]. Write options as a mapping such
    as {'workers': 2}, or words as a list of strings.
"""
