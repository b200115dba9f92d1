from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "RESTART": "always",
        "READY_TIMEOUT": 3,
        "WATCHDOG": 3,
        "HEALTHCHECK": {"TCP": ":8000"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['RESTART'] is 'always', but its TYPE is 'oneshot'. Use
    'on-failure': a oneshot is done once it exits with 0.
PRODUCTION_PROCESSES['web']['READY_TIMEOUT'] is for a service, but its TYPE is 'oneshot'. Leave
    it out: a oneshot is done once it exits with 0.
PRODUCTION_PROCESSES['web']['HEALTHCHECK'] is for a service, but its TYPE is 'oneshot'. Leave
    it out: a oneshot is done once it exits with 0.
PRODUCTION_PROCESSES['web']['WATCHDOG'] is for a service, but its TYPE is 'oneshot'. Leave it
    out: a oneshot is done once it exits with 0.
"""
