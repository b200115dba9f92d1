from tests.settings import *

PRODUCTION_PROCESSES = {
    "tick": {
        "BACKEND": "shell",
        "ARGS": ["true"],
        "TYPE": "oneshot",
        "EVERY": "1h",
    },
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["tick"]},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AFTER'] names 'tick', which runs again and again. Leave it out.
"""
