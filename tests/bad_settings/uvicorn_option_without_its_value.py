from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "uvicorn", "ARGS": ["--port"]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: uvicorn: Invalid value for '--port':
    'tests.project.asgi:application' is not a valid integer.
"""
