from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_WATCHDOG_WEB": "none"}

MESSAGE = """
PRODSERVER_WATCHDOG_WEB is 'none': expected number, got str. Write a positive number of seconds, at
    most a week.
"""
