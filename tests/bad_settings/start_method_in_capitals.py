from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "START_METHOD": "FORK"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['START_METHOD'] is 'FORK', which it cannot be. Did you mean 'fork'?
    It can be auto, fork, spawn.
"""
