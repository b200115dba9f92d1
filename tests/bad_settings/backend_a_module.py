from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "django_prodserver.backends.gunicorn"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'django_prodserver.backends.gunicorn', which is not a
    backend. Did you mean 'django_prodserver.backends.gunicorn.GunicornServer'?
"""
