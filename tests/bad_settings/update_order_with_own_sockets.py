from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "gunicorn",
        "ARGS": {"bind": "127.0.0.1:8011"},
        "SOCKETS": "own",
        "UPDATE_ORDER": "start-first",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['UPDATE_ORDER'] is 'start-first', but only one instance can listen at
    127.0.0.1:8011. Write 'stop-first', or leave it out.
"""
