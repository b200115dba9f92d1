from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {
    "RESTART": 1,
    "START_LIMIT": 1,
    "BACKOFF": 1,
    "STOP_TIMEOUT": "1",
    "READY_TIMEOUT": "1",
    "MAX_MEMORY": [],
    "START_METHOD": 1,
    "CWD": [],
    "USER": True,
    "GROUP": [],
    "UMASK": 18,
    "LOG_FORMAT": 1,
    "TIMESTAMPS": 1,
    "COLOR": True,
    "STDERR": 1,
    "MAX_LINE": "1",
    "PRELOAD": "gunicorn",
}

MESSAGE = """
PRODUCTION_SUPERVISOR['RESTART'] is 1: expected str, got int.
PRODUCTION_SUPERVISOR['START_LIMIT'] is an int, not a mapping. Its keys can be BURST, INTERVAL.
PRODUCTION_SUPERVISOR['BACKOFF'] is an int, not a mapping. Its keys can be INITIAL, MAX.
PRODUCTION_SUPERVISOR['STOP_TIMEOUT'] is '1': expected number, got str.
PRODUCTION_SUPERVISOR['READY_TIMEOUT'] is '1': expected number, got str.
PRODUCTION_SUPERVISOR['MAX_MEMORY']: expected int | str | None, got list.
PRODUCTION_SUPERVISOR['START_METHOD'] is 1: expected str, got int.
PRODUCTION_SUPERVISOR['CWD']: expected str | None, got list.
PRODUCTION_SUPERVISOR['USER'] is True: expected int | str | None, got bool.
PRODUCTION_SUPERVISOR['GROUP']: expected int | str | None, got list.
PRODUCTION_SUPERVISOR['UMASK'] is 18: expected str | None, got int. Write octal digits as text:
    '0022' for 0o22.
PRODUCTION_SUPERVISOR['LOG_FORMAT'] is 1: expected str, got int.
PRODUCTION_SUPERVISOR['TIMESTAMPS'] is 1: expected bool, got int.
PRODUCTION_SUPERVISOR['COLOR'] is True: expected str, got bool.
PRODUCTION_SUPERVISOR['STDERR'] is 1: expected str, got int.
PRODUCTION_SUPERVISOR['MAX_LINE'] is '1': expected int, got str.
PRODUCTION_SUPERVISOR['PRELOAD'] is 'gunicorn': expected list, got str.
"""
