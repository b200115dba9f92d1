from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "BACKOFF": {"MAXIMUM": 3}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKOFF']['MAXIMUM'] is not a known key. Did you mean 'MAX'?
    Known: INITIAL, MAX.
"""
