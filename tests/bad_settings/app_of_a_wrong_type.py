from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "celery", "APP": 3}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['APP'] is 3: expected str, got int. Write a dotted path, such as
    'myproject.celery.app'.
"""
