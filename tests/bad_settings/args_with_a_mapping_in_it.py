from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": {"a": {"b": "c"}}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: expected bool | int | number | str | list | None, got
    mapping at ['a'].
"""
