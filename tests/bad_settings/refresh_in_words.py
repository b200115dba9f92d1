from tests.settings import *

PRODUCTION_PROCESSES = {
    "key": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "oneshot", "REFRESH": "after"}
}

MESSAGE = """
PRODUCTION_PROCESSES['key']['REFRESH'] is 'after': expected true or false. Write True or False.
"""
