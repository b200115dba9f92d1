from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"TIMESTAMPS": "no"}

MESSAGE = """
PRODUCTION_SUPERVISOR['TIMESTAMPS'] is 'no': expected true or false. Write True or False.
"""
