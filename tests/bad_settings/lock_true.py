from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "oneshot", "LOCK": True}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['LOCK'] is True: expected str, got bool. Write 'database', or the path
    of a file such as '/srv/mysite/migrate.lock'.
"""
