from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "uvicorn", "ARGS": {"wrokers": 2}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: uvicorn: No such option[...]--wrokers[...]--workers[...]
"""
