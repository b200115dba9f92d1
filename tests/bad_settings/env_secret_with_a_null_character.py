from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "ENV": {"PASSWORD": "secret\0"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ENV']['PASSWORD'] contains a null character.
"""
