from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": {"workers": "many"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: gunicorn: error: argument -w/--workers: invalid int value:
    'many'
"""
