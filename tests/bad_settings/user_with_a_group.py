from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "USER": "app:www"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['USER']: 'app:www' is not one name or id. Write one name or id: the user
    as USER, the group as GROUP.
"""
