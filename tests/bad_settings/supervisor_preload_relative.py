from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"PRELOAD": [".tasks"]}

MESSAGE = """
PRODUCTION_SUPERVISOR['PRELOAD'] names '.tasks', which cannot be imported: TypeError: the
    'package' argument is required to perform a relative import for '.tasks'.
"""
