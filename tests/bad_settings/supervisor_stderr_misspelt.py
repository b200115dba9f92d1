from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"STDERR": "seperate"}

MESSAGE = """
PRODUCTION_SUPERVISOR['STDERR'] must be one of merge, separate; got 'seperate'. Did you mean
    'separate'?
"""
