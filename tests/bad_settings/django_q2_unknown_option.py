from tests.settings import *

INSTALLED_APPS = ["django_prodserver", "django_q"]
PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "django-q2", "ARGS": {"run-onec": True}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: qcluster: unrecognized arguments: --run-onec. Did you mean
    '--run-once'?
"""
