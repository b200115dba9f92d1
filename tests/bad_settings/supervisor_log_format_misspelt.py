from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"LOG_FORMAT": "jsonl"}

MESSAGE = """
PRODUCTION_SUPERVISOR['LOG_FORMAT'] is 'jsonl', which it cannot be. Did you mean 'json'? It can
    be text, json, raw.
"""
