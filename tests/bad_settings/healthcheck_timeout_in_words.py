from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"TCP": ":8000", "TIMEOUT": "3s"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['TIMEOUT'] is '3s': expected number, got str. Write a
    positive number of seconds, at most a week.
"""
