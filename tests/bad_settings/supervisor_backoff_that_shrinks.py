from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"BACKOFF": {"MAX": 0}}

MESSAGE = """
PRODUCTION_SUPERVISOR['BACKOFF'] has an INITIAL of 0.5 s above its MAX of 0 s. Raise MAX: the
    pause grows from INITIAL up to it.
"""
