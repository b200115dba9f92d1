from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn"}, "api": {"BACKEND": "uvicorn"}}

MESSAGE = """
PRODUCTION_PROCESSES['web'] and PRODUCTION_PROCESSES['api'] cannot both listen at
    127.0.0.1:8000. Choose another address in the ARGS of one of them.
"""
