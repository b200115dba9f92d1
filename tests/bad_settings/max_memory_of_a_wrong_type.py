from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "MAX_MEMORY": 1.5}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['MAX_MEMORY'] is 1.5: expected int or str, got number. Write a number
    of bytes, or a size such as '512MB' or '1.5GiB'.
"""
