from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "gunicorn", "ARGS": {"bind": "127.0.0.1:8011"}, "REPLICAS": 2}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICAS'] is 2, but only one instance can listen at 127.0.0.1:8011.
    Let the server have more workers instead, in its ARGS, or share the port: 'reuse-port': True.
"""
