from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "celery-beat", "APP": "no_such.app"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['APP'] is 'no_such.app', which cannot be imported:
    ModuleNotFoundError: No module named 'no_such'. Name the Celery app, such as
    'myproject.celery.app'.
"""
