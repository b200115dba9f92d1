from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn"}}


def WSGI_APPLICATION(environ, start_response):
    return []


MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot be used: ImproperlyConfigured: WSGI_APPLICATION is a
    function, not a dotted path.
"""
