from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "uwsgi", "ARGS": {"ini": "nowhere.ini"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: uwsgi: realpath() of nowhere.ini failed: No such file or
    directory[...]
"""
