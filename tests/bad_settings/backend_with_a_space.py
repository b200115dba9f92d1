from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn "}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'gunicorn ', which is not a known backend. Did you mean
    'gunicorn'? Known: <backends>; or give the dotted path of a class.
"""
