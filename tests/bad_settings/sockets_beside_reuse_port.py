from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "gunicorn",
        "ARGS": {"bind": "127.0.0.1:8011", "reuse-port": True},
        "SOCKETS": "held",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['SOCKETS'] is 'held', but that cannot be: 'reuse-port' is set.
    Leave it out.
"""
