from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "USER": 4294967295}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['USER'] is 4294967295: expected int <= 4294967294. Write one name or id:
    the user as USER, the group as GROUP.
"""
