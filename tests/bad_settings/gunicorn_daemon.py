from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": {"daemon": True}}}

MESSAGE = """
PRODUCTION_PROCESSES['web'] has 'daemon' set, which detaches it, so it seems to have exited.
    Leave it out: the supervisor runs it in the background.
"""
