from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "celery",
        "APP": "celery.current_app",
        "ENV": {"CELERY_WORKER_TIME_LIMIT": "an hour"},
    },
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: celery worker: Invalid value for '--time-limit':
    'an hour' is not a valid float.
"""
