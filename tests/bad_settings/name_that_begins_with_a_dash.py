from tests.settings import *

PRODUCTION_PROCESSES = {"-web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named '-web'. Use letters, digits, _ and -, at most 63
    characters; a name cannot begin with -.
"""
