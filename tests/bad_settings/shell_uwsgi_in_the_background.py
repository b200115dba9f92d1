from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": "cd /srv && exec uwsgi --ini x.ini --daemonize=/tmp/x.log"},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] has '--daemonize=/tmp/x.log', which detaches it, so it seems
    to have exited. Leave it out: the supervisor runs it in the background.
"""
