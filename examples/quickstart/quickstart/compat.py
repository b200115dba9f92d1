"""Everything that differs between the oldest and the newest supported releases.

Only names, no imports: settings.py reads this file before Django is set up.
A project that supports only one release uses the names directly.
"""

from importlib.util import find_spec

import django

if find_spec("django_tasks_db") and django.VERSION >= (6, 0):
    # Django includes tasks; django-tasks-db adds the database queue.
    TASKS_APPS = ["django_tasks_db"]
    TASKS_BACKEND = "django_tasks_db.DatabaseBackend"
    TASK_DECORATOR = "django.tasks.task"
elif find_spec("django_tasks_db"):
    # django-tasks 0.12 and later.
    TASKS_APPS = ["django_tasks", "django_tasks_db"]
    TASKS_BACKEND = "django_tasks_db.DatabaseBackend"
    TASK_DECORATOR = "django_tasks.task"
else:
    # django-tasks up to 0.11 includes the database queue.
    TASKS_APPS = ["django_tasks", "django_tasks.backends.database"]
    TASKS_BACKEND = "django_tasks.backends.database.DatabaseBackend"
    TASK_DECORATOR = "django_tasks.task"

# Seconds that a process waits for another process's write before "database is locked".
SQLITE_OPTIONS = {"timeout": 20}
if django.VERSION >= (5, 1):
    # Otherwise a transaction that reads before it writes could fail at once, without waiting.
    SQLITE_OPTIONS["transaction_mode"] = "IMMEDIATE"
