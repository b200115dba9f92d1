from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "command", "ARGS": ["migrat"]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] names 'migrat', which is not a management command. Did you
    mean 'migrate'?
"""
