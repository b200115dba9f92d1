from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["web"]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AFTER'] names 'web' itself. Leave it out.
"""
