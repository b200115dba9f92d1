from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["/etc/passwd"]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] names '/etc/passwd', which is not a program on the PATH. Install
    it, or give its full path.
"""
