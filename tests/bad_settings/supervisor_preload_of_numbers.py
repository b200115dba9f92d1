from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"PRELOAD": [1]}

MESSAGE = """
PRODUCTION_SUPERVISOR['PRELOAD']: expected str, got int at [0]. Write a list of modules, such as
    ['myproject.models'].
"""
