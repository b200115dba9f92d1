from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": 3}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] is 3: expected str, mapping or list, got int. Write options as
    a mapping such as {'workers': 2}, or words as a list of strings.
"""
