from tests.settings import *

PRODUCTION_PROCESSES = {"": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "REPLICAS": 1}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named ''. A name has letters, digits, _
    and -, does not begin with -, and is not longer than 63.
"""
