from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "WATCHDOG": "1 minute"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['WATCHDOG'] is '1 minute': expected number, got str. Write a positive
    number of seconds, at most a week.
"""
