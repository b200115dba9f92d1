from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "django_prodserver.backends.waitress.WaitressServer",
        "WATCHDOG": 30,
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['WATCHDOG'] is set, but WaitressServer does not send WATCHDOG=1. Use
    HEALTHCHECK instead.
"""
