from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["beat"]},
    "beat": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["web"]},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AFTER'] is a cycle: web -> beat -> web. '->' means 'comes after';
    remove one of these AFTER entries.
"""
