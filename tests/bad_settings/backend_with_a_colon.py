from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "django_prodserver.backends.gunicorn:GunicornServer"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'django_prodserver.backends.gunicorn:GunicornServer',
    which cannot be imported: ImportError: Module "django_prodserver.backends" does not define
    a "gunicorn:GunicornServer" attribute/class. Did you mean
    'django_prodserver.backends.gunicorn.GunicornServer'?
"""
