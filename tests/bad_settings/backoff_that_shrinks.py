from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "BACKOFF": {"INITIAL": 2, "MAX": 1.5}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKOFF'] has an INITIAL of 2 s above its MAX of 1.5 s. Raise MAX:
    the pause grows from INITIAL up to it.
"""
