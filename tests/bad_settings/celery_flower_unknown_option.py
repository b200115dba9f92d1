from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "celery-flower", "APP": "celery.current_app", "ARGS": {"prot": 5555}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: celery flower: --prot=5555: Unrecognized command line option:
    'prot'. Did you mean '--port'?
"""
