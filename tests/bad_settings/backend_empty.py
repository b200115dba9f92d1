from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": ""}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is '', which is no known backend. Known: <backends>; or
    give the dotted path of a class.
"""
