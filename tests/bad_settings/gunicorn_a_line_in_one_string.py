from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": "--workers 2 --threads 4"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: gunicorn would treat '--workers 2 --threads 4' as the
    application. Write options as a mapping, or as a list of words
"""
