from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": {"config": "/no/such/file.py"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: Error: '/no/such/file.py' doesn't exist
"""
