from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": "migrate"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AFTER'] is 'migrate': expected list, got str. Write a list of names,
    such as ['migrate'].
"""
