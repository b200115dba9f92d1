from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "no_such.module.Class"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'no_such.module.Class', which cannot be imported:
    ModuleNotFoundError: No module named 'no_such'.
"""
