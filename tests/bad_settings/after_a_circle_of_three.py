from tests.settings import *

PRODUCTION_PROCESSES = {
    "a": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["b"]},
    "b": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["c"]},
    "c": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["a"]},
}

MESSAGE = """
PRODUCTION_PROCESSES['a']['AFTER'] is a cycle: a -> b -> c -> a. '->' means 'comes after'; remove
    one of these AFTER entries.
"""
