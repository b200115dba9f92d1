from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"PRELOAD": ["no_such", "tests.settings", "tests.nowhere"]}

MESSAGE = """
PRODUCTION_SUPERVISOR['PRELOAD'] names 'no_such', which cannot be imported:
    ModuleNotFoundError: No module named 'no_such'.
PRODUCTION_SUPERVISOR['PRELOAD'] names 'tests.nowhere', which cannot be imported:
    ModuleNotFoundError: No module named 'tests.nowhere'.
"""
