from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "daemon"}}
PRODUCTION_SUPERVISOR = {"COLOR": "blue"}
ENVIRONMENT = {"PRODSERVER_LOG_FORMAT": "xml"}

MESSAGE = """
PRODSERVER_LOG_FORMAT is 'xml', which it cannot be. It can be text, json, raw.
PRODUCTION_PROCESSES['web']['TYPE'] is 'daemon', which it cannot be. It can be service,
    oneshot.
PRODUCTION_SUPERVISOR['COLOR'] is 'blue', which it cannot be. It can be auto, always, never.
"""
