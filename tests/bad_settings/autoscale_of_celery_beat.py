from tests.settings import *

PRODUCTION_PROCESSES = {
    "beat": {
        "BACKEND": "celery-beat",
        "APP": "celery.current_app",
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MAX": 4},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['beat']['AUTOSCALE']['MAX'] is 4. Use 1: every instance would do the same work.
"""
