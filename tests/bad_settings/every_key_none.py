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
        "REFRESH": None,
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
PRODUCTION_PROCESSES['web']['BACKEND'] is None: expected str, got None. Write a name such as
    'gunicorn', or the dotted path of a class.
PRODUCTION_PROCESSES['web']['ARGS'] is None: expected str, mapping or list, got None. Write options
    as a mapping such as {'workers': 2}, or words as a list of strings.
PRODUCTION_PROCESSES['web']['ENV'] is None: expected mapping, got None. Write strings only, such as
    {'PORT': '8000'}.
PRODUCTION_PROCESSES['web']['REPLICAS'] is None: expected int, got None. Write a positive integer.
PRODUCTION_PROCESSES['web']['TYPE'] must be one of service, oneshot; got None.
PRODUCTION_PROCESSES['web']['ENABLED'] is None: expected bool, got None. Write True or False.
PRODUCTION_PROCESSES['web']['REFRESH'] is None: expected bool, got None. Write True or False.
PRODUCTION_PROCESSES['web']['AFTER'] is None: expected list, got None. Write a list of names, such
    as ['migrate'].
"""
