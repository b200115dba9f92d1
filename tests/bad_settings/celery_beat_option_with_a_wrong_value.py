from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "celery-beat", "APP": "celery.current_app", "ARGS": {"loglevel": "loud"}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: celery beat: Invalid value for '-l' / '--loglevel': 'LOUD'
    is not one of 'DEBUG',[...]
"""
