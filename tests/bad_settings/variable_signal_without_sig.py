from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_STOP_SIGNAL_WORKER": "INT"}

MESSAGE = """
PRODSERVER_STOP_SIGNAL_WORKER is 'INT', which it cannot be. Did you mean 'SIGINT'? It can be
    SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGKILL.
"""
