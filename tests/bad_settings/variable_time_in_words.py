from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_STOP_TIMEOUT": "30s"}

MESSAGE = """
PRODSERVER_STOP_TIMEOUT is '30s': expected number, got str. Write a positive number of seconds, at
    most a week.
"""
