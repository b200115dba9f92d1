from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "uwsgi", "ARGS": {"daemonize": "/tmp/x.log"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web'] has 'daemonize' set, which detaches it, so it seems to have exited.
    Leave it out: the supervisor runs it in the background.
"""
