from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = "json"

MESSAGE = """
PRODUCTION_SUPERVISOR is a str, not a mapping. Its keys can be <keys of PRODUCTION_SUPERVISOR>.
"""
