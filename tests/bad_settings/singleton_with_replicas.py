from tests.settings import *

PRODUCTION_PROCESSES = {
    "beat": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "REPLICAS": 2, "SINGLETON": True}
}

MESSAGE = """
PRODUCTION_PROCESSES['beat']['REPLICAS'] is 2, but SINGLETON allows one. Use 1.
PRODUCTION_PROCESSES['beat']['SINGLETON'] needs the database, which is in memory. Use a database in
    a file.
"""
