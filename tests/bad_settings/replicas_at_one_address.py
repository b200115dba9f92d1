from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "gunicorn",
        "ARGS": {"bind": "127.0.0.1:8011"},
        "REPLICAS": 2,
        "SOCKETS": "own",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICAS'] is 2, but only one instance can listen at 127.0.0.1:8011.
    Leave out SOCKETS: then the supervisor holds one socket for all of them.
"""
