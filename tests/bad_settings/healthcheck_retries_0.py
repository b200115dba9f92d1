from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"TCP": ":8000", "RETRIES": 0},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['RETRIES'] is 0: expected int >= 1. Write a positive
    integer.
"""
