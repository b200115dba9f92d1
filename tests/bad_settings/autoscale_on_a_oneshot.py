from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MAX": 4},
        "TYPE": "oneshot",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE'] is for a service, but its TYPE is 'oneshot'. Leave it out:
    a oneshot is done once it exits with 0.
"""
