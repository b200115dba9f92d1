from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "START_LIMIT": 5}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['START_LIMIT'] is an int, not a mapping. Its keys can be BURST,
    INTERVAL.
"""
