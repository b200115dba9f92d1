from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_STOP_TIMEOUT": "nan"}

MESSAGE = """
PRODSERVER_STOP_TIMEOUT is 'nan': expected number > 0.0. Write a positive number of seconds, at most
    a week.
"""
