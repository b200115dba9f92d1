from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "READY": {"LGO": "up"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY']['LGO'] is not a known key. Did you mean 'LOG'? Known: HTTP,
    TCP, COMMAND, VERIFY, TIMEOUT, LOG.
PRODUCTION_PROCESSES['web']['READY'] does not say how to tell that it is ready. Set exactly one of
    HTTP, TCP, COMMAND, LOG.
"""
