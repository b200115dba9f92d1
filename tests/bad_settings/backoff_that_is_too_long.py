from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "BACKOFF": {"MAX": 1000000}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKOFF']['MAX'] is 1000000: expected number <= 604800.0. Write a
    number of seconds, or 0, at most a week.
"""
