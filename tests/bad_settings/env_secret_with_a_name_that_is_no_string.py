from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "ENV": {1: "secret"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ENV']: expected str, got int as a key. Write strings only, such as
    {'PORT': '8000'}.
"""
