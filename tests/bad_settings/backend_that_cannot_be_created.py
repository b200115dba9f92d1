from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "tests.backends.odd.CannotBeCreated"}}

MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot be used: KeyError: 'APP'
    (tests/backends/odd/__init__.py, line 27).
"""
