from tests.settings import *

PRODUCTION_PROCESSES = {"my web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named 'my web'. Use letters, digits, - and _ only: the name
    becomes one in a Procfile.
"""
