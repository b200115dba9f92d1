from tests.settings import *

PRODUCTION_PROCESSES = ["web"]

MESSAGE = """
PRODUCTION_PROCESSES is a list, not a mapping of names to processes. Add PRODUCTION_PROCESSES =
    {'web': {'BACKEND': 'gunicorn'}} to your settings.
"""
