from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn"}}
WSGI_APPLICATION = 3

MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot be used: ImproperlyConfigured: WSGI_APPLICATION is an int,
    not a dotted path.
"""
