from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "uwsgi", "ARGS": {"wrokers": 2}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: uwsgi: unrecognized option '--wrokers'. Did you
    mean '--workers'?
"""
