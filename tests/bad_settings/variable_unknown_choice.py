from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_LOG_FORMAT": "jsn"}

MESSAGE = """
PRODSERVER_LOG_FORMAT is 'jsn', which it cannot be. Did you mean 'json'? It can be text, json,
    raw.
"""
