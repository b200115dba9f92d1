from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "oneshot", "RESTART": "always"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['RESTART'] is 'always', but its TYPE is 'oneshot'. Use
    'on-failure': a oneshot is done once it exits with 0.
"""
