from tests.settings import *

INSTALLED_APPS = ["django_prodserver"]
PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "django-q2"},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] needs the management command qcluster, which no installed app
    provides. Add 'django_q' to INSTALLED_APPS.
"""
