from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"TCP": ":8000", "VERIFY": "ca.pem"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['VERIFY'] is set, but HTTP is not.
    Leave it out.
"""
