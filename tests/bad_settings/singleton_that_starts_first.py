from tests.settings import *

PRODUCTION_PROCESSES = {
    "beat": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "UPDATE_ORDER": "start-first",
        "SINGLETON": True,
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['beat']['UPDATE_ORDER'] is 'start-first', but SINGLETON allows one life at a
    time. Leave it out.
PRODUCTION_PROCESSES['beat']['SINGLETON'] needs the database, which is in memory. Use a database in
    a file.
"""
