from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "STOP_TIMEOUT": float("inf")}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['STOP_TIMEOUT'] is inf: expected number <= 604800.0. Write a positive
    number of seconds, at most a week.
"""
