"""The database worker of django-tasks: https://github.com/RealOrangeOne/django-tasks"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .command import CommandBackend


class DjangoTasksWorker(CommandBackend):
    """ARGS are those of `manage.py db_worker`.

    django-tasks has that command up to 0.11; since then django-tasks-db has it, also for the tasks
    of Django 6.
    """

    command = "db_worker"
    comes_with = (
        "pip install django-tasks-db and add 'django_tasks_db' to INSTALLED_APPS (up to "
        "django-tasks 0.11: add 'django_tasks.backends.database')."
    )
    # With DEBUG it would watch the code, and re-execute sys.argv on changes.
    defaults = ("--no-reload",)
    notifies = True
    pings = False

    def announce_ready(self, module: ModuleType) -> None:
        from .hooks import django_tasks as hooks

        hooks.announce(module)

    def recycles_with(self, options: Any) -> bool:
        return options.batch or options.max_tasks is not None
