from tests.settings import *

PRODUCTION_PROCESSES = {
    "web-a": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "web_a": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_REPLICAS_WEB_A": "2"}

MESSAGE = """
PRODUCTION_PROCESSES has 'web-a' and 'web_a', which share their variables. Rename all but one:
    PRODSERVER_REPLICAS_WEB_A could mean any of them.
"""
