from tests.settings import *

PRODUCTION_PROCESSES = {"": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "REPLICAS": 1}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named ''. Use letters, digits, _ and -, at most 63 characters; a
    name cannot begin with -.
"""
