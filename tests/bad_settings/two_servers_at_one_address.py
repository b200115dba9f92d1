from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "gunicorn", "ARGS": {"bind": "127.0.0.1:8011"}},
    "api": {"BACKEND": "uvicorn", "ARGS": {"port": 8011}},
}

MESSAGE = """
PRODUCTION_PROCESSES['web'] and PRODUCTION_PROCESSES['api'] cannot both listen at
    127.0.0.1:8011. Choose another address in the ARGS of one of them.
"""
