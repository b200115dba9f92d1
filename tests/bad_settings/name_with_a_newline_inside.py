from tests.settings import *

PRODUCTION_PROCESSES = {"a\nb": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named 'a\\nb'. A name has letters, digits, _
    and -, does not begin with -, and is not longer than 63.
"""
