from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "gunicorn", "ARGS": {"bind": "unix:/tmp/no.socket"}},
    "api": {"BACKEND": "uvicorn", "ARGS": {"uds": "/tmp/no.socket"}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web'] and PRODUCTION_PROCESSES['api'] cannot both listen at
    /tmp/no.socket. Choose another address in the ARGS of one of them.
"""
