from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"LOG_FORMAT": "jsonl"}

MESSAGE = """
PRODUCTION_SUPERVISOR['LOG_FORMAT'] must be one of text, json, raw; got 'jsonl'. Did you mean
    'json'?
"""
