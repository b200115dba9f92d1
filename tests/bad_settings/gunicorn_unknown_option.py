from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": {"wrokers": 2}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: gunicorn: error: unrecognized arguments: --wrokers=2. Did
    you mean '--workers'?
"""
