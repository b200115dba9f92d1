from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn"}}
ENVIRONMENT = {"PRODSERVER_WATCHDOG_WEB": "30"}

MESSAGE = """
PRODSERVER_WATCHDOG_WEB is set, but gunicorn does not send WATCHDOG=1. Use HEALTHCHECK instead.
"""
