from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "HEALTHCHECK": {"COMMAND": []}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['COMMAND']: expected list of length >= 1. Write the
    program and its arguments, such as ['pg_isready', '-q'].
"""
