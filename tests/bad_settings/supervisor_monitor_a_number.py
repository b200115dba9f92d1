from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"MONITOR": 9180}

MESSAGE = """
PRODUCTION_SUPERVISOR['MONITOR'] is 9180: expected str, got int. Write host:port, such as
    '127.0.0.1:9180'.
"""
