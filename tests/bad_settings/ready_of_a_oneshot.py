from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "READY": {"LOG": "up"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY'] is for a service, but its TYPE is 'oneshot'. Leave it out:
    a oneshot is done once it exits with 0.
"""
