from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"TCP": "tcp://localhost:8000"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['TCP']: 'tcp://localhost:8000' is not host:port.
    Write host:port, such as '127.0.0.1:8000' or '[::1]:8000'.
"""
