from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"PRELOAD": ["no_such"]}

MESSAGE = """
PRODUCTION_SUPERVISOR['PRELOAD'] names 'no_such', which cannot be imported:
    ModuleNotFoundError: No module named 'no_such'.
"""
