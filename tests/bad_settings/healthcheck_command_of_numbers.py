from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "HEALTHCHECK": {"COMMAND": [1]}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['COMMAND']: expected str, got int at [0]. Write the
    program and its arguments, such as ['pg_isready', '-q'].
"""
