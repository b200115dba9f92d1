from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["no-such-program"]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] names 'no-such-program', which is not a program on the PATH.
    Install it, or give its full path. The PATH is [...].
"""
