from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "celery", "APP": "celery.current_app", "ARGS": {"pool": "sol"}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: celery worker: Invalid value for '-P' / '--pool': 'sol'
    is not one of 'prefork',[...]
"""
