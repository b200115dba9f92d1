from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "waitress", "ARGS": {"listen": "localhost:high"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: waitress-serve: Invalid host/port specified.
"""
