from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "ONESHOT"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['TYPE'] must be one of service, oneshot; got 'ONESHOT'. Did you mean
    'oneshot'?
"""
