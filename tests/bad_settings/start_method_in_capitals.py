from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "START_METHOD": "FORK"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['START_METHOD'] must be one of auto, fork, spawn; got 'FORK'. Did you
    mean 'fork'?
"""
