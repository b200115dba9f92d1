from tests.settings import *

PRODUCTION_PROCESSES = {"beat": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "LOCK": "database"}}

MESSAGE = """
PRODUCTION_PROCESSES['beat']['LOCK'] is for a oneshot, but its TYPE is 'service'. Use SINGLETON for
    a service.
"""
