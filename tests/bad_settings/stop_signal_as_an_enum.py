import signal

from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "STOP_SIGNAL": signal.SIGINT}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['STOP_SIGNAL'] must be one of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1,
    SIGUSR2, SIGKILL; got <Signals.SIGINT: 2>. Did you mean 'SIGINT'?
"""
