from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "SCHEDULE": 3600,
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['SCHEDULE'] is 3600: expected str, got int. Write minute, hour, day of
    the month, month and day of the week, such as '30 3 * * *'.
"""
