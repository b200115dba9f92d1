from tests.settings import *

PRODUCTION_PROCESSES = {"web\n": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named 'web\\n'. Use letters, digits, - and _ only: the name
    becomes one in a Procfile.
"""
