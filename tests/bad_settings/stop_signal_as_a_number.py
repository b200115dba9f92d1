from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "STOP_SIGNAL": 15}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['STOP_SIGNAL'] is 15, which it cannot be. It can be SIGTERM, SIGINT,
    SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGKILL.
"""
