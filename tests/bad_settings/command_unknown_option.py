from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "command", "ARGS": ["migrate", "--plann"]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: migrate: unrecognized arguments: --plann. Did you mean
    '--plan'?
"""
