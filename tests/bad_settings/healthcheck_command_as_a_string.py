from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "HEALTHCHECK": {"COMMAND": "true"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['COMMAND'] is 'true': expected list, got str. Write the
    program and its arguments, such as ['pg_isready', '-q'].
"""
