from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["beat"]},
    "beat": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["web"]},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AFTER'] leads back to it: web -> beat -> web. An arrow means
    'comes after': take one of them away.
"""
