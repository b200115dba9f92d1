from tests.settings import *

PRODUCTION_PROCESSES = {
    "a": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["b"]},
    "b": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["c"]},
    "c": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["b"]},
}

MESSAGE = """
PRODUCTION_PROCESSES['b']['AFTER'] is a cycle: b -> c -> b. '->' means 'comes after'; remove one of
    these AFTER entries.
"""
