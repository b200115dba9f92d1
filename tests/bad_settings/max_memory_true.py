from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "MAX_MEMORY": True}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['MAX_MEMORY'] is True: expected int or str, got bool. Write a number of
    bytes, or a size such as '512MB' or '1.5GiB'.
"""
