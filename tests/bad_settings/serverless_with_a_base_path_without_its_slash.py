from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SERVERLESS = {"BASE_PATH": "prod/"}

MESSAGE = """
PRODUCTION_SERVERLESS['BASE_PATH']: 'prod/' is not a path that begins with / and does not end with
    one. Write a path such as '/prod', or ''.
"""
