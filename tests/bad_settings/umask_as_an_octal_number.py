from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "UMASK": 0o027}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['UMASK'] is 23: expected str, got int. Write octal digits as text:
    '0023' for 23 or '0027' for 0o27.
"""
