from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"ON_EVENT": ["tests.handling.asynchronous"]}

MESSAGE = """
PRODUCTION_SUPERVISOR['ON_EVENT'] names 'tests.handling.asynchronous', which is
    asynchronous. Name a function that takes an event, which is a dict.
"""
