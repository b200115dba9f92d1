from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "celery", "APP": "celery.curent_app"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['APP'] is 'celery.curent_app', which cannot be imported:
    ModuleNotFoundError: No module named 'celery.curent_app'. Name the Celery app, such as
    'myproject.celery.app'.
"""
