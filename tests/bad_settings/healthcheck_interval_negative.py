from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"TCP": ":8000", "INTERVAL": -1},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['INTERVAL'] is -1: expected number > 0.0. Write a
    positive number of seconds, at most a week.
"""
