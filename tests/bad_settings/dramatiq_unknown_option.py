from tests.settings import *

INSTALLED_APPS = ["django_prodserver", "django_dramatiq"]
PRODUCTION_PROCESSES = {"web": {"BACKEND": "dramatiq", "ARGS": {"proceses": 2}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: rundramatiq: unrecognized arguments: --proceses=2. Did you mean
    '--processes'?
"""
