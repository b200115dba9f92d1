from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": ""}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is '', which is not a known backend. Known: <backends>; or
    give the dotted path of a class.
"""
