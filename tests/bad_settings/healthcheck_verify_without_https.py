from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"HTTP": "http://127.0.0.1:8000/", "VERIFY": True},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['VERIFY'] is set, but HTTP is not an https:// URL.
    Leave it out.
"""
