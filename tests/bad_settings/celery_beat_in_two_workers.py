from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "celery", "APP": "celery.current_app", "ARGS": ["-B"], "REPLICAS": 2}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICAS'] is 2, and each instance has 'beat' set. Use 1, or leave
    'beat' to a process of its own.
"""
