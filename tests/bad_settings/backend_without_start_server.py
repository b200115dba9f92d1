from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "django_prodserver.backends.base.BaseServerBackend"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'django_prodserver.backends.base.BaseServerBackend',
    which does not define start_server. See django_prodserver.backends.base.BaseServerBackend.
"""
