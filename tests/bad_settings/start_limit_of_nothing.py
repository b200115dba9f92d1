from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "START_LIMIT": {"BURST": 0}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['START_LIMIT']['BURST'] is 0: expected int >= 1. Write a positive
    integer.
"""
