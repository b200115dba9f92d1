from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"HTTP": "http://me:secret@localhost/"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['HTTP']: it has a user name or a password, which
    would not be sent. Write a path such as '/health', or a URL such as
    'http://127.0.0.1:8000/health'.
"""
