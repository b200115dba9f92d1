from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"TCP": "localhost:80000"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['TCP']: 80000 is not a port from 1 to 65535. Write
    host:port, such as '127.0.0.1:8000' or '[::1]:8000'.
"""
