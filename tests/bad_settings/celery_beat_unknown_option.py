from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "celery-beat", "APP": "celery.current_app", "ARGS": {"shedule": "x"}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: celery beat: No such option[...]--schedule[...]
"""
