from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "ONESHOT"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['TYPE'] is 'ONESHOT', which it cannot be. Did you mean 'oneshot'?
    It can be service, oneshot.
"""
