from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": {"user": "no-such-user"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: Error: No such user: 'no-such-user'
"""
