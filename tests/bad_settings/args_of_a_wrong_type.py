from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": 3}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] is 3: expected str | mapping | list, got int.
"""
