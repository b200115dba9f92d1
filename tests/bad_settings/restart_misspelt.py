from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "RESTART": "on-failiure"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['RESTART'] must be one of never, on-failure, always; got 'on-failiure'.
    Did you mean 'on-failure'?
"""
