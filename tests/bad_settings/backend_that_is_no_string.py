from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": None}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is None: expected str, got None. Write a name such as
    'gunicorn', or the dotted path of a class.
"""
