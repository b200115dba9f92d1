from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AUTOSCALE": 4}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE'] is an int, not a mapping. Its keys can be METRIC, TARGET,
    MIN, MAX, INTERVAL, STABILIZATION.
"""
