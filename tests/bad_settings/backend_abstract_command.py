from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "django_prodserver.backends.command.CommandBackend"}}

MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot be used: AttributeError: 'CommandBackend' object has no
    attribute 'command'.
"""
