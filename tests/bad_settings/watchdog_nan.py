from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "WATCHDOG": float("nan")}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['WATCHDOG'] is nan: expected number > 0.0. Write a positive number of
    seconds, at most a week.
"""
