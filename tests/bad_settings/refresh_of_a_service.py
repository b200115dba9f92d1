from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "REFRESH": True}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REFRESH'] is for a oneshot, but its TYPE is 'service'. Leave it out.
"""
