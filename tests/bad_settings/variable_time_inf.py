from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_READY_TIMEOUT_WEB": "inf"}

MESSAGE = """
PRODSERVER_READY_TIMEOUT_WEB is 'inf': expected number <= 604800.0. Write a positive number of
    seconds, at most a week.
"""
