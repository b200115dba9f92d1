from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_STOP_TIMOUT": "7"}

MESSAGE = """
PRODSERVER_STOP_TIMOUT is not a known variable. Did you mean 'PRODSERVER_STOP_TIMEOUT'?
"""
