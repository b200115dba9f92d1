from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "START_METHOD": "forkserver"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['START_METHOD'] is 'forkserver', which it cannot be. It can be
    auto, fork, spawn.
"""
