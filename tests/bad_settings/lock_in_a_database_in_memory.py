from tests.settings import *

PRODUCTION_PROCESSES = {
    "beat": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "oneshot", "LOCK": "database"}
}

MESSAGE = """
PRODUCTION_PROCESSES['beat']['LOCK'] needs the database, which is in memory. Use a database in a
    file; or write the path of a file, or None.
"""
