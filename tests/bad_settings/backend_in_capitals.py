from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "Gunicorn"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'Gunicorn', which is not a known backend. Did you mean
    'gunicorn'? Known: <backends>; or give the dotted path of a class.
"""
