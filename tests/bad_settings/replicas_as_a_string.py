from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "REPLICAS": "2"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICAS'] is '2': expected int, got str. Write 2, without quotes.
"""
