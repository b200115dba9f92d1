from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "HEALTHCHECK": {}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK'] does not say what to probe. Set exactly one of HTTP, TCP,
    COMMAND.
"""
