from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"MONITOR": "9180"}

MESSAGE = """
PRODUCTION_SUPERVISOR['MONITOR']: '9180' is not host:port. Write host:port, such as
    '127.0.0.1:9180'.
"""
