from tests.settings import *

PRODUCTION_PROCESSES = {"w" * 64: {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named 'wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww...'.
    Use letters, digits, _ and -, at most 63 characters; a name cannot begin with -.
"""
