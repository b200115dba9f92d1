from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "HEALTHCHECK": {"HTTP": 8000}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['HTTP'] is 8000: expected str, got int. Write a path
    such as '/health', or a URL such as 'http://127.0.0.1:8000/health'.
"""
