from tests.settings import *

PRODUCTION_PROCESSES = {
    "a": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["b"]},
    "b": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["c"]},
    "c": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["a"]},
}

MESSAGE = """
PRODUCTION_PROCESSES['a']['AFTER'] leads back to it: a -> b -> c -> a. An arrow means 'comes
    after': take one of them away.
"""
