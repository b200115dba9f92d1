from tests.settings import *

PRODUCTION_PROCESSES = {
    "a": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["b"]},
    "b": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["a"]},
    "c": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["d"]},
    "d": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["c"]},
}

MESSAGE = """
PRODUCTION_PROCESSES['a']['AFTER'] leads back to it: a -> b -> a. An arrow means 'comes after':
    take one of them away.
PRODUCTION_PROCESSES['c']['AFTER'] leads back to it: c -> d -> c. An arrow means 'comes after':
    take one of them away.
"""
