from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_START_METHOD_WEB": "forkserver"}

MESSAGE = """
PRODSERVER_START_METHOD_WEB must be one of auto, fork, spawn; got 'forkserver'.
"""
