from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"TCP": ":8000", "HTTP": "http://localhost/"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK'] has HTTP and TCP at once. Set exactly one of HTTP, TCP,
    COMMAND.
"""
