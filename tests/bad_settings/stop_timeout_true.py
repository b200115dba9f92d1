from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "STOP_TIMEOUT": True}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['STOP_TIMEOUT'] is True: expected number, got bool. Write a positive
    number of seconds, at most a week.
"""
