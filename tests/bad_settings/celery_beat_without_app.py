from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "celery-beat"}}

MESSAGE = """
PRODUCTION_PROCESSES['web'] has no 'APP'. Name the Celery app, such as 'myproject.celery.app'.
"""
