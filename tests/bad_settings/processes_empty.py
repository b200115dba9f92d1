from tests.settings import *

PRODUCTION_PROCESSES = {}

MESSAGE = """
PRODUCTION_PROCESSES is empty. Add PRODUCTION_PROCESSES = {'web': {'BACKEND': 'gunicorn'}} to
    your settings.
"""
