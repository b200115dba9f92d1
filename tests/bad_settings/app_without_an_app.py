from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "celery", "APP": "tests.settings"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['APP'] is 'tests.settings', which cannot be imported:
    AttributeError: module 'tests.settings' has no attribute 'celery'. Name the Celery app,
    such as 'myproject.celery.app'.
"""
