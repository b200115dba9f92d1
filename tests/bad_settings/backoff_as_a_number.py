from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "BACKOFF": 2}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKOFF'] is an int, not a mapping. Its keys can be INITIAL, MAX.
"""
