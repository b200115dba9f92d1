from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"PRELOAD": ["tests.backends.odd.broken"]}

MESSAGE = """
PRODUCTION_SUPERVISOR['PRELOAD'] names 'tests.backends.odd.broken', which cannot be imported:
    ZeroDivisionError: division by zero
    (tests/backends/odd/broken.py, line 5).
"""
