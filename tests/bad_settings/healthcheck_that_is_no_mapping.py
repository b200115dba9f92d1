from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "HEALTHCHECK": "/health"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK'] is a str, not a mapping. Its keys can be
    <keys of HEALTHCHECK>.
"""
