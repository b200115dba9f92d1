from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "uvicorn", "ARGS": {"port": 0}}}
ASGI_APPLICATION = "tests.settings.nothing"

MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot be loaded: AttributeError: module 'tests.settings' has no
    attribute 'nothing'.
"""
