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
PRODUCTION_PROCESSES['web']['BACKEND'] is 1: expected str, got int.
PRODUCTION_PROCESSES['web']['ARGS'] is 1: expected str | mapping | list, got int.
PRODUCTION_PROCESSES['web']['APP'] is 1: expected str | None, got int.
PRODUCTION_PROCESSES['web']['ENV'] is 1: expected mapping, got int.
PRODUCTION_PROCESSES['web']['CWD'] is 1: expected str | None, got int.
PRODUCTION_PROCESSES['web']['USER']: expected int | str | None, got list.
PRODUCTION_PROCESSES['web']['GROUP'] is 1.5: expected int | str | None, got number.
PRODUCTION_PROCESSES['web']['UMASK'] is 22: expected str | None, got int. Write octal digits as
    text: '0022' for 22 or '0026' for 0o26.
PRODUCTION_PROCESSES['web']['REPLICAS']: expected int, got list.
PRODUCTION_PROCESSES['web']['TYPE'] is 1: expected str, got int.
PRODUCTION_PROCESSES['web']['ENABLED'] is 1: expected bool, got int.
PRODUCTION_PROCESSES['web']['AFTER'] is 1: expected list, got int.
PRODUCTION_PROCESSES['web']['RESTART'] is 1: expected str | None, got int.
PRODUCTION_PROCESSES['web']['START_LIMIT'] is an int, not a mapping. Its keys can be BURST,
    INTERVAL.
PRODUCTION_PROCESSES['web']['BACKOFF'] is an int, not a mapping. Its keys can be INITIAL, MAX.
PRODUCTION_PROCESSES['web']['STOP_SIGNAL'] is 15: expected str | None, got int.
PRODUCTION_PROCESSES['web']['STOP_TIMEOUT']: expected number | None, got list.
PRODUCTION_PROCESSES['web']['READY_TIMEOUT']: expected number | None, got list.
PRODUCTION_PROCESSES['web']['READY'] is an int, not a mapping. Its keys can be
    <keys of READY>.
PRODUCTION_PROCESSES['web']['HEALTHCHECK'] is an int, not a mapping. Its keys can be
    <keys of HEALTHCHECK>.
PRODUCTION_PROCESSES['web']['WATCHDOG']: expected number | None, got list.
PRODUCTION_PROCESSES['web']['MAX_MEMORY']: expected int | str | None, got list.
PRODUCTION_PROCESSES['web']['START_METHOD'] is 1: expected str | None, got int.
"""
