from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"CONTROL": "run/control.sock"}

MESSAGE = """
PRODUCTION_SUPERVISOR['CONTROL']: 'run/control.sock' is not the absolute path of a file. Write True,
    False, or a path such as '/run/mysite/control.sock'.
"""
