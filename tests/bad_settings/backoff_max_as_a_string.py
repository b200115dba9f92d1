from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "BACKOFF": {"MAX": "30s"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKOFF']['MAX'] is '30s': expected number, got str. Write a number of
    seconds, or 0, at most a week.
"""
