from tests.settings import *

PRODUCTION_PROCESSES = {3: {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named 3. Use letters, digits, - and _ only: the name becomes
    one in a Procfile.
"""
