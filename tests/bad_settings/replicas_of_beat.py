from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "celery-beat", "APP": "celery.current_app", "REPLICAS": 2}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICAS'] is 2. Use 1: every instance would do the same work.
"""
