from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "ENV": {"A": "b\x00c"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ENV']['A'] contains a null character.
"""
