from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "celery",
        "APP": "celery.current_app",
        "ARGS": ["_prefetch_multiplier=four"],
    },
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: celery worker: Unable to parse extra configuration from
    command line. Reason: 'worker_prefetch_multiplier': invalid literal for int() with base 10:
    'four'
"""
