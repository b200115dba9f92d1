from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "SCHEDULE": "0 0 3 * * *",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['SCHEDULE']: '0 0 3 * * *' does not have five fields. Write minute,
    hour, day of the month, month and day of the week, such as '30 3 * * *'.
"""
