from tests.settings import *

PRODUCTION_PROCESSES = {"\x1b[31mweb": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named '\\x1b[31mweb'. A name has letters, digits, _
    and -, does not begin with -, and is not longer than 63.
"""
