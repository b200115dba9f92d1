from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "ENABLED": "false"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ENABLED'] is 'false': expected true or false. Write False, without
    quotes.
"""
