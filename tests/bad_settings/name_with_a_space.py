from tests.settings import *

PRODUCTION_PROCESSES = {"my web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named 'my web'. Use letters, digits, _ and -, at most 63
    characters; a name cannot begin with -.
"""
