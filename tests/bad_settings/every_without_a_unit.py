from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "EVERY": "15 minutes",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['EVERY']: '15 minutes' is not a duration. Write a number with s, m, h
    or d, such as '15m'.
"""
