from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_REPLICAS_WEB": "many"}

MESSAGE = """
PRODSERVER_REPLICAS_WEB is 'many': expected int, got str. Write 0 or a positive integer.
"""
