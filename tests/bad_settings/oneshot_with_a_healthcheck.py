from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "HEALTHCHECK": {"TCP": ":8000"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK'] is for a service, but its TYPE is 'oneshot'. Leave
    it out: a oneshot is done once it exits with 0.
"""
