from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "SCHEDULE": "0 0 31 2 *",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['SCHEDULE']: '0 0 31 2 *' is not a cron expression: bad day-of-month.
    Write minute, hour, day of the month, month and day of the week, such as '30 3 * * *'.
"""
