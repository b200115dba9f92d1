from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = None

MESSAGE = """
PRODUCTION_SUPERVISOR is None, not a mapping. Its keys can be <keys of PRODUCTION_SUPERVISOR>.
"""
