from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "BACKOFF": {"INITIAL": -0.5}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKOFF']['INITIAL'] is -0.5: expected number >= 0.0. Write a number
    of seconds, or 0, at most a week.
"""
