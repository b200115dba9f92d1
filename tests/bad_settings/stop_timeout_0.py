from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "STOP_TIMEOUT": 0}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['STOP_TIMEOUT'] is 0: expected number > 0.0. Write a positive number of
    seconds, at most a week.
"""
