from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "ENV": {"": "b"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ENV'] has a variable named ''. A name is not empty, and has
    neither '=' nor a null character.
"""
