from tests.settings import *

PRODUCTION_PROCESSES = {
    "web-a": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "web_a": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_REPLICAS_WEB_A": "2"}

MESSAGE = """
PRODSERVER_REPLICAS_WEB_A could be meant for 'web-a' and 'web_a'. Rename one of the processes,
    or set it in the settings.
"""
