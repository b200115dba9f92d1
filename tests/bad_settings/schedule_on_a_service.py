from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "SCHEDULE": "0 3 * * *",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['SCHEDULE'] is for a oneshot, but its TYPE is 'service'. Add 'TYPE':
    'oneshot'.
"""
