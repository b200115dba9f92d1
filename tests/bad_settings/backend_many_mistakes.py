from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "gunicron"},
    "worker": {"BACKEND": "celery"},
    "tidy": {"BACKEND": "command"},
    "fine": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'gunicron', which is not a known backend. Did you mean
    'gunicorn'? Known: <backends>; or give the dotted path of a class.
PRODUCTION_PROCESSES['worker'] has no 'APP'. Name the Celery app, such as 'myproject.celery.app'.
PRODUCTION_PROCESSES['tidy']['ARGS'] must begin with the name of a management command. Write it
    as a list, such as ['clearsessions', '--verbosity=2'].
"""
