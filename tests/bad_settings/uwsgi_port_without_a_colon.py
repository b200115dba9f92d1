from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "uwsgi", "ARGS": {"http": 8000}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: uwsgi: 'http' is '8000', which it would treat as the path
    of a Unix socket. Write ':8000'
"""
