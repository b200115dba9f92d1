from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"ON_EVENT": ["tests.backends.odd.broken.page"]}

MESSAGE = """
PRODUCTION_SUPERVISOR['ON_EVENT'] names 'tests.backends.odd.broken.page', which cannot be
    imported: ZeroDivisionError: division by zero (tests/backends/odd/broken.py, line 5).
"""
