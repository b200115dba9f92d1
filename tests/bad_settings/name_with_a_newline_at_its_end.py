from tests.settings import *

PRODUCTION_PROCESSES = {"web\n": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named 'web\\n'. Use letters, digits, _ and -, at most 63
    characters; a name cannot begin with -.
"""
