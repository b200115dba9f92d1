from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "CWD": "/no/such/folder"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['CWD'] is '/no/such/folder', which cannot be entered: No such file or
    directory. Name a folder that exists and is readable.
"""
