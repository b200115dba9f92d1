from tests.settings import *

INSTALLED_APPS = ["django_prodserver", *TASKS_APPS]
TASKS = {"default": {"BACKEND": TASKS_BACKEND}}
PRODUCTION_PROCESSES = {"web": {"BACKEND": "django-tasks", "ARGS": {"interval": "often"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: db_worker: argument --interval: invalid [...] value: 'often'
"""
