from tests.settings import *

INSTALLED_APPS = ["django_prodserver", "django_rq"]
RQ_QUEUES = {"default": {"URL": "redis://127.0.0.1:1/0"}, "mail": {"URL": "redis://127.0.0.1:1/0"}}
PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "rq", "ARGS": {"max-jobs": "many"}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: rqworker: argument --max-jobs: invalid int value: 'many'
"""
