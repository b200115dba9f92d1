from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": 1,
        "ARGS": 1,
        "APP": 1,
        "ENV": 1,
        "CWD": 1,
        "USER": [],
        "GROUP": 1.5,
        "UMASK": 22,
        "REPLICAS": [],
        "TYPE": 1,
        "ENABLED": 1,
        "REFRESH": 1,
        "AFTER": 1,
        "RESTART": 1,
        "START_LIMIT": 1,
        "BACKOFF": 1,
        "STOP_SIGNAL": 15,
        "STOP_TIMEOUT": [],
        "READY_TIMEOUT": [],
        "READY": 1,
        "HEALTHCHECK": 1,
        "WATCHDOG": [],
        "MAX_MEMORY": [],
        "START_METHOD": 1,
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 1: expected str, got int. Write a name such as 'gunicorn',
    or the dotted path of a class.
PRODUCTION_PROCESSES['web']['ARGS'] is 1: expected str, mapping or list, got int. Write options as a
    mapping such as {'workers': 2}, or words as a list of strings.
PRODUCTION_PROCESSES['web']['APP'] is 1: expected str, got int. Write a dotted path, such as
    'myproject.celery.app'.
PRODUCTION_PROCESSES['web']['ENV'] is 1: expected mapping, got int. Write strings only, such as
    {'PORT': '8000'}.
PRODUCTION_PROCESSES['web']['CWD'] is 1: expected str, got int. Write the path of a folder, such as
    BASE_DIR / 'media'.
PRODUCTION_PROCESSES['web']['USER']: expected int or str, got list. Write one name or id: the user
    as USER, the group as GROUP.
PRODUCTION_PROCESSES['web']['GROUP'] is 1.5: expected int or str, got number. Write one name or id:
    the user as USER, the group as GROUP.
PRODUCTION_PROCESSES['web']['UMASK'] is 22: expected str, got int. Write octal digits as text:
    '0022' for 22 or '0026' for 0o26.
PRODUCTION_PROCESSES['web']['REPLICAS']: expected int, got list. Write a positive integer.
PRODUCTION_PROCESSES['web']['TYPE'] must be one of service, oneshot; got 1.
PRODUCTION_PROCESSES['web']['ENABLED'] is 1: expected bool, got int. Write True or False.
PRODUCTION_PROCESSES['web']['REFRESH'] is 1: expected bool, got int. Write True or False.
PRODUCTION_PROCESSES['web']['AFTER'] is 1: expected list, got int. Write a list of names, such as
    ['migrate'].
PRODUCTION_PROCESSES['web']['RESTART'] must be one of never, on-failure, always; got 1.
PRODUCTION_PROCESSES['web']['START_LIMIT'] is an int, not a mapping. Its keys can be BURST,
    INTERVAL.
PRODUCTION_PROCESSES['web']['BACKOFF'] is an int, not a mapping. Its keys can be INITIAL, MAX.
PRODUCTION_PROCESSES['web']['STOP_SIGNAL'] must be one of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1,
    SIGUSR2, SIGKILL; got 15.
PRODUCTION_PROCESSES['web']['STOP_TIMEOUT']: expected number, got list. Write a positive number of
    seconds, at most a week.
PRODUCTION_PROCESSES['web']['READY_TIMEOUT']: expected number, got list. Write a positive number of
    seconds, at most a week.
PRODUCTION_PROCESSES['web']['READY'] is an int, not a mapping. Its keys can be <keys of READY>.
PRODUCTION_PROCESSES['web']['HEALTHCHECK'] is an int, not a mapping. Its keys can be <keys of
    HEALTHCHECK>.
PRODUCTION_PROCESSES['web']['WATCHDOG']: expected number, got list. Write a positive number of
    seconds, at most a week.
PRODUCTION_PROCESSES['web']['MAX_MEMORY']: expected int or str, got list. Write a number of bytes,
    or a size such as '512MB' or '1.5GiB'.
PRODUCTION_PROCESSES['web']['START_METHOD'] must be one of auto, fork, spawn; got 1.
"""
