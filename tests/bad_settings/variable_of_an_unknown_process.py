from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_REPLICAS_SCHEDULER_OF_REPORTS": "7"}

MESSAGE = """
PRODSERVER_REPLICAS_SCHEDULER_OF_REPORTS is for a process that is not configured. Unset it.
"""
