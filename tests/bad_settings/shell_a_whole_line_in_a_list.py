from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep 1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] names 'sleep 1000', which is not a program on the PATH. Write
    each word as an item of its own, or all as one string for the shell.
"""
