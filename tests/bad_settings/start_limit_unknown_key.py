from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "START_LIMIT": {"BURSTS": 3}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['START_LIMIT']['BURSTS'] is not a known key. Did you mean 'BURST'?
    Known: BURST, INTERVAL.
"""
