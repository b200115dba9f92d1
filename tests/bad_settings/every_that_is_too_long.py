from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "EVERY": "900d",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['EVERY']: '900d' is not between a second and a year. Write a number
    with s, m, h or d, such as '15m'.
"""
