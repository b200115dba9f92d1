from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "django_prodserver.backends.gunicorn.GunicornServre"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'django_prodserver.backends.gunicorn.GunicornServre',
    which cannot be imported: ImportError: Module "django_prodserver.backends.gunicorn" does
    not define a "GunicornServre" attribute/class. Did you mean
    'django_prodserver.backends.gunicorn.GunicornServer'?
"""
