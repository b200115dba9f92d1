from tests.settings import *

PRODUCTION_PROCESSES = {"\x1b[31mweb": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named '\\x1b[31mweb'. Use letters, digits, _ and -, at most 63
    characters; a name cannot begin with -.
"""
