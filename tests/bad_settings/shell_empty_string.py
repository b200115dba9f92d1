from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ""}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] must be a command. Write it as a list of words, or as one
    string for the shell.
"""
