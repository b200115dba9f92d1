from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "HEALTHCHECK": {"HTTP": "health"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['HTTP']: 'health' is neither a path nor an http://
    URL. Write a path such as '/health', or a URL such as 'http://127.0.0.1:8000/health'.
"""
