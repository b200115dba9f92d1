import signal

from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "STOP_SIGNAL": signal.SIGINT}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['STOP_SIGNAL'] is <Signals.SIGINT: 2>: expected str | None, got
    int.
"""
