from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "uvicorn-wsgi", "ARGS": {"port": "high"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: uvicorn: Invalid value for '--port': 'high' is not a valid
    integer.
"""
