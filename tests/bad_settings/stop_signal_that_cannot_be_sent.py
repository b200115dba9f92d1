from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "STOP_SIGNAL": "SIGSTOP"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['STOP_SIGNAL'] must be one of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1,
    SIGUSR2, SIGKILL; got 'SIGSTOP'. Did you mean 'SIGINT'?
"""
