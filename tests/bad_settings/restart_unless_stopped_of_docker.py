from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "RESTART": "unless-stopped"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['RESTART'] is 'unless-stopped', which it cannot be. It can be
    never, on-failure, always.
"""
