from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "tests.backends.odd.CannotBeCreated"}}

MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot be used: KeyError: 'APP'.
"""
