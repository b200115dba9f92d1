from tests.settings import *

PRODUCTION_PROCESSES = {"": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "REPLICAS": 1}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named ''. Use letters, digits, - and _ only: the name
    becomes one in a Procfile.
"""
