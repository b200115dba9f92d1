from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "celery", "APP": "celery.current_app", "ARGS": {"concurency": 2}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: celery worker: No such option[...]--concurrency[...]
"""
