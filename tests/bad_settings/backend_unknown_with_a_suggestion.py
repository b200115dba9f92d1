from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicron"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'gunicron', which is not a known backend. Did you mean
    'gunicorn'? Known: <backends>; or give the dotted path of a class.
"""
