from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "READY": {"HTTP": "/health"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY']['HTTP'] is '/health', but it is unknown at which host and
    port the process will listen. Write a whole URL, such as 'http://127.0.0.1:8000/health'.
"""
