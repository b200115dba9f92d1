from tests.settings import *

PRODUCTION_PROCESSES = {"worker": {"BACKEND": "shell", "ARGS": ["sleep", "9"], "SOCKETS": "held"}}

MESSAGE = """
PRODUCTION_PROCESSES['worker']['SOCKETS'] is 'held', but that cannot be: shell cannot take sockets.
    Leave it out.
"""
