from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "READY": {"TCP": "127.0.0.1:8000"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY'] is set, but gunicorn reports by itself when it is ready.
    Leave it out.
"""
