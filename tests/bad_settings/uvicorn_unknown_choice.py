from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "uvicorn", "ARGS": {"log-level": "loud"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: uvicorn: Invalid value for '--log-level': 'loud' is not
    one of 'critical', 'error', 'warning', 'info', 'debug', 'trace'.
"""
