from tests.settings import *

PRODUCTION_PROCESSES = {
    "beat": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "oneshot", "LOCK": "databse"}
}

MESSAGE = """
PRODUCTION_PROCESSES['beat']['LOCK']: 'databse' is neither 'database' nor an absolute path. Write
    'database', or the path of a file such as '/srv/mysite/migrate.lock'.
"""
