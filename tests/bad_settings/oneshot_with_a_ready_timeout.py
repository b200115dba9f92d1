from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "oneshot", "READY_TIMEOUT": 3}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY_TIMEOUT'] is for a service, but its TYPE is 'oneshot'. Leave
    it out: a oneshot is done once it exits with 0.
"""
