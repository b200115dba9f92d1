from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SERVERLESS = {"INTERFACE": "asgy"}

MESSAGE = """
PRODUCTION_SERVERLESS['INTERFACE'] must be one of wsgi, asgi; got 'asgy'. Did you mean 'asgi'?
"""
