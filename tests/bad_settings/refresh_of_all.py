from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"REFRESH": True}

MESSAGE = """
PRODUCTION_SUPERVISOR['REFRESH'] is not a known key. Known: <keys of PRODUCTION_SUPERVISOR>.
"""
