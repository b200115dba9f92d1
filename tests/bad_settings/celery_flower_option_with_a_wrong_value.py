from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "celery-flower", "APP": "celery.current_app", "ARGS": {"port": "high"}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: celery flower: --port=high: invalid literal for int() with
    base 10: 'high'
"""
