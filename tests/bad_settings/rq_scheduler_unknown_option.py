from tests.settings import *

INSTALLED_APPS = ["django_prodserver", "django_rq"]
RQ_QUEUES = {"default": {"URL": "redis://127.0.0.1:1/0"}, "mail": {"URL": "redis://127.0.0.1:1/0"}}
PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "rq-scheduler", "ARGS": {"intervall": 5}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: rqscheduler: unrecognized arguments: --intervall=5. Did you
    mean '--interval'?
"""
