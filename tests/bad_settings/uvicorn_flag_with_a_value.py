from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "uvicorn", "ARGS": {"reload": "yes"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: uvicorn: Option '--reload' does not take a value.
"""
