from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "READY": {"TIMEOUT": 3}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY'] does not say how to tell that it is ready. Set exactly one of
    HTTP, TCP, COMMAND, LOG.
"""
