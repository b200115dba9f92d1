from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "django_prodserver.backends.gunicron.GunicornServer"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'django_prodserver.backends.gunicron.GunicornServer',
    which cannot be imported: ModuleNotFoundError: No module named
    'django_prodserver.backends.gunicron'. Did you mean
    'django_prodserver.backends.gunicorn.GunicornServer'?
"""
