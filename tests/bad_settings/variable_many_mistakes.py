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
PRODSERVER_LOG_FORMAT must be one of text, json, raw; got 'xml'.
PRODSERVER_STDERR must be one of merge, separate; got 'seperate'. Did you mean 'separate'?
PRODSERVER_REPLICAS_WEB is '-1': expected int >= 0. Write 0 or a positive integer.
"""
