from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "READY": {
            "TCP": "8000",
            "HTTP": "health",
            "COMMAND": "true",
            "LOG": "[",
            "VERIFY": None,
            "TIMEOUT": 0,
        },
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY']['TCP']: '8000' is not host:port. Write host:port, such as
    '127.0.0.1:8000' or '[::1]:8000'.
PRODUCTION_PROCESSES['web']['READY']['HTTP']: 'health' is neither a path nor an http:// URL. Write a
    path such as '/health', or a URL such as 'http://127.0.0.1:8000/health'.
PRODUCTION_PROCESSES['web']['READY']['COMMAND'] is 'true': expected list, got str. Write the program
    and its arguments, such as ['pg_isready', '-q'].
PRODUCTION_PROCESSES['web']['READY']['LOG']: '[' is not a regular expression: unterminated character
    set at position 0. Write one of Python's, such as 'listening on port [0-9]+'.
PRODUCTION_PROCESSES['web']['READY']['VERIFY'] is None: expected bool or str, got None. Write True,
    False, or the path of a file.
PRODUCTION_PROCESSES['web']['READY']['TIMEOUT'] is 0: expected number > 0.0. Write a positive number
    of seconds, at most a week.
PRODUCTION_PROCESSES['web']['READY'] has HTTP and TCP and COMMAND and LOG at once. Set exactly one
    of HTTP, TCP, COMMAND, LOG.
"""
