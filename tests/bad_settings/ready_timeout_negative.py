from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "READY_TIMEOUT": -1}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY_TIMEOUT'] is -1: expected number > 0.0. Write a positive number
    of seconds, at most a week.
"""
