from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "ENV": {"PATH": "/nowhere"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] names 'sleep', which is not a program on the PATH. Install it,
    or give its full path. The PATH is /nowhere.
"""
