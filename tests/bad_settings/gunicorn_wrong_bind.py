from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": {"bind": "localhost:high"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot be used: RuntimeError: 'high' is not a valid port number.
"""
