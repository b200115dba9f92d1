from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "EVERY": "1h",
        "REFRESH": True,
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REFRESH'] is for what runs once, but it has SCHEDULE or EVERY. Leave
    it out.
"""
