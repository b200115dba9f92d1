from tests.settings import *

PRODUCTION_PROCESSES = {3: {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named 3. A name has letters, digits, _
    and -, does not begin with -, and is not longer than 63.
"""
