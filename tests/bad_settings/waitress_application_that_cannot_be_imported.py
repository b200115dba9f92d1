from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "waitress"}}
WSGI_APPLICATION = "no_such.app"

MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot import its application 'no_such:app': No module named
    'no_such'. Set WSGI_APPLICATION or ASGI_APPLICATION to the right one.
"""
