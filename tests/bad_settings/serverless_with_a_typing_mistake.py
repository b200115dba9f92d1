from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SERVERLESS = {"BASEPATH": "/prod"}

MESSAGE = """
PRODUCTION_SERVERLESS['BASEPATH'] is not a known key. Did you mean 'BASE_PATH'? Known:
    <keys of PRODUCTION_SERVERLESS>.
"""
