from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "MAX_MEMORY": True}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['MAX_MEMORY'] is True: expected int | str | None, got bool.
"""
