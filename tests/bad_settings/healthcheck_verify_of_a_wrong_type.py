from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"HTTP": "https://127.0.0.1/", "VERIFY": 3},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['VERIFY'] is 3: expected bool or str, got int. Write
    True, False, or the path of a file.
"""
