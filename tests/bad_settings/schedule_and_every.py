from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "SCHEDULE": "0 3 * * *",
        "EVERY": "1h",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['EVERY'] is set, and so is SCHEDULE. Leave one of them out.
"""
