from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": ".backends.Mine"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is '.backends.Mine', which cannot be imported:
    TypeError: the 'package' argument is required to perform a relative import for '.backends'.
"""
