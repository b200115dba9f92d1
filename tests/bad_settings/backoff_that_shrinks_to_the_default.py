from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "BACKOFF": {"INITIAL": 60}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKOFF'] has an INITIAL of 60 s above its MAX of 30 s. Raise MAX:
    the pause grows from INITIAL up to it.
"""
