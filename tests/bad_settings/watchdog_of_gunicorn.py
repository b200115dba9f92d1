from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "WATCHDOG": 30}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['WATCHDOG'] is set, but gunicorn does not send WATCHDOG=1. Use
    HEALTHCHECK instead.
"""
