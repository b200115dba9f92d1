from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = []

MESSAGE = """
PRODUCTION_SUPERVISOR is a list, not a mapping. Its keys can be
    <keys of PRODUCTION_SUPERVISOR>.
"""
