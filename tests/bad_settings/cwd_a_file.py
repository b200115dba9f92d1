from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "CWD": "/etc/passwd"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['CWD'] is '/etc/passwd', which cannot be entered: Not a directory. Name
    a folder that exists and is readable.
"""
