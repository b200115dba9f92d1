from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "READY": {"TCP": "127.0.0.1:8000"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY'] is set, but gunicorn reports its readiness itself.
    Leave it out.
"""
