from tests.settings import *

PROD_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}

MESSAGE = """
PRODUCTION_PROCESSES is not set. Rename PROD_PROCESSES, which looks like it.
"""
