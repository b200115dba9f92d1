from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "EVERY": 0,
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['EVERY'] is 0: expected number >= 1.0. Write seconds, or a duration
    such as '15m' or '1d'.
"""
