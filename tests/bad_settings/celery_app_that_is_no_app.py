from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "celery", "APP": "tests.settings.USE_TZ"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['APP'] is 'tests.settings.USE_TZ', which is not a Celery app. Name
    the Celery app, such as 'myproject.celery.app'.
"""
