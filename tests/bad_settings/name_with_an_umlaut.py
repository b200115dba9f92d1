from tests.settings import *

PRODUCTION_PROCESSES = {"wörker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "REPLICAS": 1}}

MESSAGE = """
PRODUCTION_PROCESSES has a process named 'wörker'. Use letters, digits, _ and -, at most 63
    characters; a name cannot begin with -.
"""
