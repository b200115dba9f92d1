from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "READY": {"LOG": "up", "TCP": ":8000"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY'] has TCP and LOG at once. Set exactly one of HTTP, TCP,
    COMMAND, LOG.
"""
