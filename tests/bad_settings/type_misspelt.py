from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "servcie"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['TYPE'] must be one of service, oneshot; got 'servcie'. Did you mean
    'service'?
"""
