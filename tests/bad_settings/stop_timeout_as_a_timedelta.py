from datetime import timedelta

from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "STOP_TIMEOUT": timedelta(seconds=3)}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['STOP_TIMEOUT'] is datetime.timedelta(seconds=3): expected number, got
    duration. Write a positive number of seconds, at most a week.
"""
