from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "UPDATE_ORDER": "start_first"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['UPDATE_ORDER'] must be one of auto, start-first, stop-first;
    got 'start_first'. Did you mean 'start-first'?
"""
