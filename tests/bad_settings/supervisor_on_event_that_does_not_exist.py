from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"ON_EVENT": ["tests.handling.fien"]}

MESSAGE = """
PRODUCTION_SUPERVISOR['ON_EVENT'] names 'tests.handling.fien', which cannot be imported:
    ImportError: Module "tests.handling" does not define a "fien" attribute/class.
"""
