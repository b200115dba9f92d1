from tests.backends.odd import Odd
from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": Odd}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is <class 'tests.backends.odd.Odd'>: expected str, got type.
    Write a name such as 'gunicorn', or the dotted path of a class.
"""
