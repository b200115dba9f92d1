from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "waitress", "ARGS": {"wrokers": 2}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: waitress-serve: option --wrokers not recognized
"""
