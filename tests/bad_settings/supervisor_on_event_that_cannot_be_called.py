from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"ON_EVENT": ["tests.handling.NOTHING"]}

MESSAGE = """
PRODUCTION_SUPERVISOR['ON_EVENT'] names 'tests.handling.NOTHING', which cannot be called.
    Name a function that takes an event, which is a dict.
"""
