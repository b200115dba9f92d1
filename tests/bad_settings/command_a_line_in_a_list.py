from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "command", "ARGS": ["migrate --plan"]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] names 'migrate --plan', which is not a management command.
    Did you mean 'migrate'?
"""
