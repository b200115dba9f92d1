from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "START_METHOD": "forkserver"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['START_METHOD'] must be one of auto, fork, spawn; got 'forkserver'.
"""
