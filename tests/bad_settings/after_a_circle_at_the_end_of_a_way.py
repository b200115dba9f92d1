from tests.settings import *

PRODUCTION_PROCESSES = {
    "a": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["b"]},
    "b": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["c"]},
    "c": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["b"]},
}

MESSAGE = """
PRODUCTION_PROCESSES['b']['AFTER'] leads back to it: b -> c -> b. An arrow means 'comes after':
    take one of them away.
"""
