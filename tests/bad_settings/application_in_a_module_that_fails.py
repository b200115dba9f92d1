from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "waitress"}}
WSGI_APPLICATION = "tests.backends.odd.broken.app"

MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot be loaded: ZeroDivisionError: division by zero
    (tests/backends/odd/broken.py, line 5).
"""
