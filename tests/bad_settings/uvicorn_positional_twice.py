from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "uvicorn", "ARGS": ["mysite.asgi:application"]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: uvicorn: Got unexpected extra argument
    (tests.project.asgi:application)
"""
