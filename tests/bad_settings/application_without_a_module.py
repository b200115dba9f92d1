from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn"}}
WSGI_APPLICATION = "application"

MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot import its application 'application': No module named
    'application'. Set WSGI_APPLICATION or ASGI_APPLICATION to the right one.
"""
