from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "RESTART": "on-failiure"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['RESTART'] is 'on-failiure', which it cannot be. Did you mean
    'on-failure'? It can be never, on-failure, always.
"""
