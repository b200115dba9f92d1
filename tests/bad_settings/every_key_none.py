from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": None,
        "ARGS": None,
        "APP": None,
        "ENV": None,
        "CWD": None,
        "USER": None,
        "GROUP": None,
        "UMASK": None,
        "REPLICAS": None,
        "TYPE": None,
        "ENABLED": None,
        "AFTER": None,
        "RESTART": None,
        "START_LIMIT": None,
        "BACKOFF": None,
        "STOP_SIGNAL": None,
        "STOP_TIMEOUT": None,
        "READY": None,
        "READY_TIMEOUT": None,
        "HEALTHCHECK": None,
        "WATCHDOG": None,
        "MAX_MEMORY": None,
        "START_METHOD": None,
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is None: expected str, got None.
PRODUCTION_PROCESSES['web']['ARGS'] is None: expected str | mapping | list, got None.
PRODUCTION_PROCESSES['web']['ENV'] is None: expected mapping, got None.
PRODUCTION_PROCESSES['web']['REPLICAS'] is None: expected int, got None.
PRODUCTION_PROCESSES['web']['TYPE'] is None: expected str, got None.
PRODUCTION_PROCESSES['web']['ENABLED'] is None: expected bool, got None.
PRODUCTION_PROCESSES['web']['AFTER'] is None: expected list, got None.
"""
