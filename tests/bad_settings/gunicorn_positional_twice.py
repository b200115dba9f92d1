from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "ARGS": ["mysite.wsgi"]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: gunicorn would treat 'mysite.wsgi' as the application.
    Write options as a mapping, or as a list of words
"""
