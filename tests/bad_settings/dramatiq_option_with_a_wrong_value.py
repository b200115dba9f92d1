from tests.settings import *

INSTALLED_APPS = ["django_prodserver", "django_dramatiq"]
PRODUCTION_PROCESSES = {"web": {"BACKEND": "dramatiq", "ARGS": {"processes": "many"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: rundramatiq: argument --processes/-p: invalid int value:
    'many'
"""
