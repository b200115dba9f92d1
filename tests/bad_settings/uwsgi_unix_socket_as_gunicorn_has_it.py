from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "uwsgi", "ARGS": {"socket": "unix:/run/x.sock"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: uwsgi: write a Unix socket as its path, 'socket' =
    '/run/x.sock'
"""
