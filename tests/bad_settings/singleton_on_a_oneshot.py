from tests.settings import *

PRODUCTION_PROCESSES = {
    "beat": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "oneshot", "SINGLETON": True}
}

MESSAGE = """
PRODUCTION_PROCESSES['beat']['SINGLETON'] is for a service, but its TYPE is 'oneshot'. Use LOCK for
    a oneshot.
"""
