from tests.settings import *

PRODUCTION_PROCESSES = {"beat": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "SINGLETON": True}}

MESSAGE = """
PRODUCTION_PROCESSES['beat']['SINGLETON'] needs the database, which is in memory. Use a database in
    a file.
"""
