from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_LOG_FORMAT": "jsn"}

MESSAGE = """
PRODSERVER_LOG_FORMAT must be one of text, json, raw; got 'jsn'. Did you mean 'json'?
"""
