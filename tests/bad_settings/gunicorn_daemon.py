from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": {"daemon": True}}}

MESSAGE = """
PRODUCTION_PROCESSES['web'] has 'daemon' set, which detaches it: that looks as if it had exited.
    Leave it out: the supervisor runs it in the background.
"""
