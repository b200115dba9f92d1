import signal

from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "STOP_SIGNAL": signal.SIGINT}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['STOP_SIGNAL'] is <Signals.SIGINT: 2>, which it cannot be. Did you mean
    'SIGINT'? It can be SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGKILL.
"""
