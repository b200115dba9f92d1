from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "daphne", "ARGS": {"prot": 8000}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: daphne: error: unrecognized arguments: --prot=8000.
    Did you mean '--port'?
"""
