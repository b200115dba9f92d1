from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "STOP_SIGNAL": "TERM"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['STOP_SIGNAL'] is 'TERM', which it cannot be. Did you mean
    'SIGTERM'? It can be SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGKILL.
"""
