from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "MAX_MEMORY": 1.5}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['MAX_MEMORY'] is 1.5: expected int | str | None, got number.
"""
