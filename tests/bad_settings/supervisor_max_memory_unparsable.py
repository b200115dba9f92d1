from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"MAX_MEMORY": "lots"}

MESSAGE = """
PRODUCTION_SUPERVISOR['MAX_MEMORY']: 'lots' is not a size. Write a number of bytes, or a size
    such as '512MB' or '1.5GiB'.
"""
