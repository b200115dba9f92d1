from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": {"bind": "127.0.0.1:0"}}}
WSGI_APPLICATION = "tests.project.wsgi:application"

MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot be loaded: AttributeError: module 'tests.project' has no
    attribute 'wsgi:application'.
"""
