from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "django-tasks"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] needs the management command db_worker, which no
    installed app provides. pip install django-tasks-db and add 'django_tasks_db' to INSTALLED_APPS
    (up to django-tasks 0.11: add 'django_tasks.backends.database').
"""
