from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "tests.backends.odd.broken.Backend"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'tests.backends.odd.broken.Backend', which cannot be
    imported: ZeroDivisionError: division by zero
    (tests/backends/odd/broken.py, line 5).
"""
