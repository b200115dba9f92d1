from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": {1: 2}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: expected str, got int as a key. Write options as a mapping
    such as {'workers': 2}, or words as a list of strings.
"""
