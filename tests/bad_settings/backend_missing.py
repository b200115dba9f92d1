from tests.settings import *

PRODUCTION_PROCESSES = {"web": {}}

MESSAGE = """
PRODUCTION_PROCESSES['web'] has no 'BACKEND'. Name what runs it, such as 'gunicorn'.
"""
