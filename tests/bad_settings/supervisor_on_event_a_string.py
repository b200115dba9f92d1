from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"ON_EVENT": "tests.handling.fine"}

MESSAGE = """
PRODUCTION_SUPERVISOR['ON_EVENT'] is 'tests.handling.fine': expected list, got str. Write a
    list of functions, such as ['myproject.alerts.on_event'].
"""
