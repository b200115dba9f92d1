from tests.settings import *

MESSAGE = """
PRODUCTION_PROCESSES is not set. Add PRODUCTION_PROCESSES = {'web': {'BACKEND': 'gunicorn'}} to
    your settings.
"""
