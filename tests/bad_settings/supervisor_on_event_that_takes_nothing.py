from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"ON_EVENT": ["tests.handling.takes_nothing"]}

MESSAGE = """
PRODUCTION_SUPERVISOR['ON_EVENT'] names 'tests.handling.takes_nothing', which cannot be
    called with one argument (too many positional arguments). Name a function that takes an
    event, which is a dict.
"""
