from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "daphne", "ARGS": {"port": "high"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: daphne: error: argument -p/--port: invalid int value:
    'high'
"""
