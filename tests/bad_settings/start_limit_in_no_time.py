from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "START_LIMIT": {"INTERVAL": 0}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['START_LIMIT']['INTERVAL'] is 0: expected number > 0.0. Write a positive
    number of seconds, at most a week.
"""
