from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "celery", "APP": "tests.backends.odd.broken"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['APP'] is 'tests.backends.odd.broken', which cannot be imported:
    ZeroDivisionError: division by zero
    (tests/backends/odd/broken.py, line 5). Name the Celery app, such as 'myproject.celery.app'.
"""
