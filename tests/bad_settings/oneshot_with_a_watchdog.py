from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "oneshot", "WATCHDOG": 3}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['WATCHDOG'] is for a service, but its TYPE is 'oneshot'. Leave it
    out: a oneshot is done once it exits with 0.
"""
