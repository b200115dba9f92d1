from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_REPLICAS_WEB": "-1"}

MESSAGE = """
PRODSERVER_REPLICAS_WEB is '-1': expected int >= 0. Write 0 or a positive integer.
"""
