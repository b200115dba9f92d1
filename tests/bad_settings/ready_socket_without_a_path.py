from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "READY": {"TCP": "unix:"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY']['TCP']: it does not name the path of a Unix socket. Write
    host:port, such as '127.0.0.1:8000' or '[::1]:8000'.
"""
