from tests.settings import *

PRODUCTION_PROCESSES = {"web@2": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named 'web@2'. Use letters, digits, _ and -, at most 63
    characters; a name cannot begin with -.
"""
