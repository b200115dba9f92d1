from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"START_LIMIT": None}

MESSAGE = """
PRODUCTION_SUPERVISOR['START_LIMIT'] is None: expected mapping, got None.
"""
