from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
PRODUCTION_SUPERVISOR = {"CWD": "/no/such/folder"}

MESSAGE = """
PRODUCTION_SUPERVISOR['CWD'] is '/no/such/folder', which cannot be entered: No such file or
    directory. Name a folder that exists and is readable.
"""
