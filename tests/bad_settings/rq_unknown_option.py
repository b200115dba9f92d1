from tests.settings import *

INSTALLED_APPS = ["django_prodserver", "django_rq"]
RQ_QUEUES = {"default": {"URL": "redis://127.0.0.1:1/0"}, "mail": {"URL": "redis://127.0.0.1:1/0"}}
PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "rq", "ARGS": {"brust": True}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: rqworker: unrecognized arguments: --brust. Did you mean
    '--burst'?
"""
