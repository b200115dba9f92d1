from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "HEALTHCHECK": {"TCP": "localhost"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['TCP']: 'localhost' is not host:port. Write
    host:port, such as '127.0.0.1:8000' or '[::1]:8000'.
"""
