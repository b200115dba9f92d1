from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "mod_wsgi"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'mod_wsgi', which is no known backend. Known:
    <backends>; or give the dotted path of a class.
"""
