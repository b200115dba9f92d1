from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_STOP_SIGNAL_WORKER": "INT"}

MESSAGE = """
PRODSERVER_STOP_SIGNAL_WORKER must be one of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2,
    SIGKILL; got 'INT'. Did you mean 'SIGINT'?
"""
