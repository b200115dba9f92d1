from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "HEALTHCHECK": {"HTTP": "/my health"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['HTTP']: it has a character that has to be
    percent-encoded, such as a space. Write a path such as '/health', or a URL such as
    'http://127.0.0.1:8000/health'.
"""
