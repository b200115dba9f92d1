from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "os.getpid"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'os.getpid', which is not a backend. Let it inherit
    from django_prodserver.backends.base.BaseServerBackend.
"""
