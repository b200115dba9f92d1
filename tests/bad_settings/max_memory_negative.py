from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "MAX_MEMORY": -1}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['MAX_MEMORY'] is -1: expected int >= 1. Write a number of bytes, or a
    size such as '512MB' or '1.5GiB'.
"""
