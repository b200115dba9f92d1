from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "READY": {"LOG": ""}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY']['LOG']: it is empty, and would match the first line.
    Write one of Python's, such as 'listening on port [0-9]+'.
"""
