from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {
    "PRODSERVER_LOG_FORMAT": "xml",
    "PRODSERVER_STDERR": "seperate",
    "PRODSERVER_REPLICAS_WEB": "-1",
}

MESSAGE = """
PRODSERVER_LOG_FORMAT is 'xml', which it cannot be. It can be text, json, raw.
PRODSERVER_STDERR is 'seperate', which it cannot be. Did you mean 'separate'? It can be merge,
    separate.
PRODSERVER_REPLICAS_WEB is '-1': expected int >= 0. Write a whole number, 0 or more.
"""
