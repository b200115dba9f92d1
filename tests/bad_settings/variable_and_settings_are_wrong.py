from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "daemon"}}
PRODUCTION_SUPERVISOR = {"COLOR": "blue"}
ENVIRONMENT = {"PRODSERVER_LOG_FORMAT": "xml"}

MESSAGE = """
PRODSERVER_LOG_FORMAT must be one of text, json, raw; got 'xml'.
PRODUCTION_PROCESSES['web']['TYPE'] must be one of service, oneshot; got 'daemon'.
PRODUCTION_SUPERVISOR['COLOR'] must be one of auto, always, never; got 'blue'.
"""
