from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["migrate"]}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AFTER'] names 'migrate', which is not a configured process. Leave it
    out.
"""
