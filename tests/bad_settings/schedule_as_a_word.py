from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "SCHEDULE": "@daily",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['SCHEDULE']: '@daily' does not have five fields. Write minute, hour,
    day of the month, month and day of the week, such as '30 3 * * *'.
"""
