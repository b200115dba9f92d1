from tests.settings import *

PRODUCTION_PROCESSES = {
    "a": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["b"]},
    "b": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["a"]},
    "c": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["d"]},
    "d": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["c"]},
}

MESSAGE = """
PRODUCTION_PROCESSES['a']['AFTER'] is a cycle: a -> b -> a. '->' means 'comes after'; remove one of
    these AFTER entries.
PRODUCTION_PROCESSES['c']['AFTER'] is a cycle: c -> d -> c. '->' means 'comes after'; remove one of
    these AFTER entries.
"""
