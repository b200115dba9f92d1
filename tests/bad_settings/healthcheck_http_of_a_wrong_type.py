from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "HEALTHCHECK": {"HTTP": 8000}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['HTTP'] is 8000: expected str | None, got int.
"""
