from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "tests.backends.odd.Homeless"}}

MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot be used: RuntimeError: nowhere
    (tests/backends/odd/__init__.py, line 32).
"""
