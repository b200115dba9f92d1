from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "READY": "listening"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY'] is a str, not a mapping. Its keys can be HTTP, TCP,
    COMMAND, VERIFY, TIMEOUT, LOG.
"""
