from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_COLOR": "true"}

MESSAGE = """
PRODSERVER_COLOR is 'true', which it cannot be. It can be auto, always, never.
"""
