from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "gunicorn", "HEALTHCHECK": {"HTTP": "/", "VERIFY": True}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['VERIFY'] is set, but the process does not speak TLS
    at 127.0.0.1:8000. Leave it out.
"""
