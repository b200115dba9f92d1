from tests.settings import *

PRODUCTION_PROCESSES = {
    "Web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "a_b": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "a-b": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}

MESSAGE = """
PRODUCTION_PROCESSES has 'Web' and 'web', which share their variables. Rename all but one:
    PRODSERVER_REPLICAS_WEB could mean any of them.
PRODUCTION_PROCESSES has 'a_b' and 'a-b', which share their variables. Rename all but one:
    PRODSERVER_REPLICAS_A_B could mean any of them.
"""
