from tests.settings import *

PRODUCTION_PROCESSES = {"web": "django_prodserver.backends.gunicorn.GunicornServer"}

MESSAGE = """
PRODUCTION_PROCESSES['web'] is a str, not a mapping. Its keys can be <keys of a process>.
"""
