from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "HEALTHCHECK": {"HTTP": "http://[::g]/"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['HTTP']: '[::g]' is not an IPv6 address. Write a
    path such as '/health', or a URL such as 'http://127.0.0.1:8000/health'.
"""
