from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "granian", "ARGS": {"wrokers": 2}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: granian: No such option[...]--wrokers[...]--workers[...]
"""
