from tests.settings import *

PRODUCTION_PROCESSES = {
    "beat": {"BACKEND": "celery-beat", "APP": "celery.current_app", "UPDATE_ORDER": "start-first"}
}

MESSAGE = """
PRODUCTION_PROCESSES['beat']['UPDATE_ORDER'] is 'start-first', but two instances at once would do
    all work twice. Leave it out.
"""
