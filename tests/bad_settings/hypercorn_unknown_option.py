from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "hypercorn", "ARGS": {"wrokers": 2}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: hypercorn: error: unrecognized arguments: --wrokers=2.
    Did you mean '--workers'?
"""
