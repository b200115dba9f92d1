from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "pathlib.Path"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'pathlib.Path', which is not a backend. Let it
    inherit from django_prodserver.backends.base.BaseServerBackend.
"""
