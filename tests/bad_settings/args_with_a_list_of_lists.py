from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": {"bind": [["127.0.0.1:0"]]}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: expected int, number or str, got list at ['bind'][0]. Write
    options as a mapping such as {'workers': 2}, or words as a list of strings.
"""
