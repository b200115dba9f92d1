from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": {"bind": [["127.0.0.1:0"]]}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: expected int | number | str, got list at ['bind'][0].
"""
