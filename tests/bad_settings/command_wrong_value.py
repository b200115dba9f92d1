from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "command", "ARGS": ["migrate", "--verbosity=9"]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: migrate: argument -v/--verbosity: invalid choice: 9
    (choose from 0, 1, 2, 3)
"""
