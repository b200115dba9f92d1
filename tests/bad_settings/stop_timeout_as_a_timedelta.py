from datetime import timedelta

from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "STOP_TIMEOUT": timedelta(seconds=3)}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['STOP_TIMEOUT'] is datetime.timedelta(seconds=3): expected number, got
    duration. Write a number of seconds above 0, at most a week.
"""
