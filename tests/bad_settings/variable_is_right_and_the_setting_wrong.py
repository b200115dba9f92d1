from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "REPLICAS": 0}}
ENVIRONMENT = {"PRODSERVER_REPLICAS_WEB": "2"}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICAS'] is 0: expected int >= 1. Write a positive integer.
"""
