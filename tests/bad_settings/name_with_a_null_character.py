from tests.settings import *

PRODUCTION_PROCESSES = {"web\0": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named 'web\\x00'. Use letters, digits, _ and -, at most 63
    characters; a name cannot begin with -.
"""
