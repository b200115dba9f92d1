from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"COMMAND": ["a", "\x00"]},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['COMMAND']: it contains a null character. Write the
    program and its arguments, such as ['pg_isready', '-q'].
"""
