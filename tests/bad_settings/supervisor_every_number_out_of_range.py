from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {
    "START_LIMIT": {"BURST": -1, "INTERVAL": 604801},
    "BACKOFF": {"INITIAL": -1, "MAX": -1},
    "STOP_TIMEOUT": 0,
    "READY_TIMEOUT": 1e9,
    "MAX_MEMORY": 0,
    "MAX_LINE": -1,
}

MESSAGE = """
PRODUCTION_SUPERVISOR['START_LIMIT']['BURST'] is -1: expected int >= 1. Write a positive integer.
PRODUCTION_SUPERVISOR['START_LIMIT']['INTERVAL'] is 604801: expected number <= 604800.0. Write a
    positive number of seconds, at most a week.
PRODUCTION_SUPERVISOR['BACKOFF']['INITIAL'] is -1: expected number >= 0.0. Write a number of
    seconds, or 0, at most a week.
PRODUCTION_SUPERVISOR['BACKOFF']['MAX'] is -1: expected number >= 0.0. Write a number of seconds,
    or 0, at most a week.
PRODUCTION_SUPERVISOR['STOP_TIMEOUT'] is 0: expected number > 0.0. Write a positive number of
    seconds, at most a week.
PRODUCTION_SUPERVISOR['READY_TIMEOUT'] is 1000000000.0: expected number <= 604800.0. Write a
    positive number of seconds, at most a week.
PRODUCTION_SUPERVISOR['MAX_MEMORY'] is 0: expected int >= 1. Write a number of bytes, or a size
    such as '512MB' or '1.5GiB'.
PRODUCTION_SUPERVISOR['MAX_LINE'] is -1: expected int >= 1. Write a positive number of bytes.
"""
