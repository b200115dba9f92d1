from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_COLOR": "true"}

MESSAGE = """
PRODSERVER_COLOR must be one of auto, always, never; got 'true'.
"""
