from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": "sleep 1000 &"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] has '&', which detaches it, so it seems to have exited.
    Leave it out: the supervisor runs it in the background.
"""
