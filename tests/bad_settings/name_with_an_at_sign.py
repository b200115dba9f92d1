from tests.settings import *

PRODUCTION_PROCESSES = {"web@2": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named 'web@2'. A name has letters, digits, _
    and -, does not begin with -, and is not longer than 63.
"""
