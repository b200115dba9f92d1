from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "django_prodserver.backends.gunicorn"}}

# A module is an attribute of its package once somebody has imported it.
MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'django_prodserver.backends.gunicorn', which [...].
    Did you mean 'django_prodserver.backends.gunicorn.GunicornServer'?
"""
