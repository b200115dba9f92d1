from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "granian", "ARGS": {"port": "high"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: granian: Invalid value for '--port': 'high' is not a
    valid integer.
"""
