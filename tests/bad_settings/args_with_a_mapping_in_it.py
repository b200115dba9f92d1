from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": {"a": {"b": "c"}}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: expected bool, int, number, str or list, got mapping at ['a'].
    Write options as a mapping such as {'workers': 2}, or words as a list of strings.
"""
