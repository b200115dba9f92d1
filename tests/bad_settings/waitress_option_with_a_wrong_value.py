from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "waitress", "ARGS": {"port": "high"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: waitress-serve: invalid literal for int() with base 10:
    'high'
"""
