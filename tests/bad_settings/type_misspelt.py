from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "servcie"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['TYPE'] is 'servcie', which it cannot be. Did you mean 'service'?
    It can be service, oneshot.
"""
