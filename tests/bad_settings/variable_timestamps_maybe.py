from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_TIMESTAMPS": "maybe"}

MESSAGE = """
PRODSERVER_TIMESTAMPS is 'maybe': expected true or false. Write one of 1, true, yes, on, 0, false,
    no, off.
"""
