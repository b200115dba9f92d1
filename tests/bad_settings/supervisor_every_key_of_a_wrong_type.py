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
    "CONTROL": 1,
    "CONTROL_GROUP": [],
    "PRELOAD": "gunicorn",
}

MESSAGE = """
PRODUCTION_SUPERVISOR['RESTART'] must be one of never, on-failure, always; got 1.
PRODUCTION_SUPERVISOR['START_LIMIT'] is an int, not a mapping. Its keys can be BURST, INTERVAL.
PRODUCTION_SUPERVISOR['BACKOFF'] is an int, not a mapping. Its keys can be INITIAL, MAX.
PRODUCTION_SUPERVISOR['STOP_TIMEOUT'] is '1': expected number, got str. Write 1, without quotes.
PRODUCTION_SUPERVISOR['READY_TIMEOUT'] is '1': expected number, got str. Write 1, without quotes.
PRODUCTION_SUPERVISOR['MAX_MEMORY']: expected int or str, got list. Write a number of bytes, or a
    size such as '512MB' or '1.5GiB'.
PRODUCTION_SUPERVISOR['START_METHOD'] must be one of auto, fork, spawn; got 1.
PRODUCTION_SUPERVISOR['CWD']: expected str, got list. Write the path of a folder, such as BASE_DIR /
    'media'.
PRODUCTION_SUPERVISOR['USER'] is True: expected int or str, got bool. Write one name or id: the user
    as USER, the group as GROUP.
PRODUCTION_SUPERVISOR['GROUP']: expected int or str, got list. Write one name or id: the user as
    USER, the group as GROUP.
PRODUCTION_SUPERVISOR['UMASK'] is 18: expected str, got int. Write octal digits as text: '0022' for
    0o22.
PRODUCTION_SUPERVISOR['LOG_FORMAT'] must be one of text, json, raw; got 1.
PRODUCTION_SUPERVISOR['TIMESTAMPS'] is 1: expected bool, got int. Write True or False.
PRODUCTION_SUPERVISOR['COLOR'] must be one of auto, always, never; got True.
PRODUCTION_SUPERVISOR['STDERR'] must be one of merge, separate; got 1.
PRODUCTION_SUPERVISOR['MAX_LINE'] is '1': expected int, got str. Write 1, without quotes.
PRODUCTION_SUPERVISOR['CONTROL'] is 1: expected bool or str, got int. Write True, False, or a path
    such as '/run/mysite/control.sock'.
PRODUCTION_SUPERVISOR['CONTROL_GROUP']: expected int or str, got list. Write one name or id: the
    user as USER, the group as GROUP.
PRODUCTION_SUPERVISOR['PRELOAD'] is 'gunicorn': expected list, got str. Write a list of modules,
    such as ['myproject.models'].
"""
