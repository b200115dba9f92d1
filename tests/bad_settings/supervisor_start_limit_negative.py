from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"START_LIMIT": {"INTERVAL": -3}}

MESSAGE = """
PRODUCTION_SUPERVISOR['START_LIMIT']['INTERVAL'] is -3: expected number > 0.0. Write a positive
    number of seconds, at most a week.
"""
