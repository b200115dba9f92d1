from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "celery", "APP": "celery.current_app", "ARGS": ["-D"]},
    "beat": {"BACKEND": "celery-beat", "APP": "celery.current_app", "ARGS": {"detach": True}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web'] has 'detach' set, which detaches it, so it seems to have exited.
    Leave it out: the supervisor runs it in the background.
PRODUCTION_PROCESSES['beat'] has 'detach' set, which detaches it, so it seems to have exited.
    Leave it out: the supervisor runs it in the background.
"""
