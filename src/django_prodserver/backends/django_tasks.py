"""The database worker of django-tasks: https://github.com/RealOrangeOne/django-tasks"""

from __future__ import annotations

from typing import Any

from django_prodserver.posix import notify

from .command import CommandBackend
from .parsers import PrintsOnly


class DjangoTasksWorker(CommandBackend):
    """ARGS are those of `manage.py db_worker`.

    It comes with django-tasks up to 0.11, and with django-tasks-db since, where the tasks
    themselves may be those of Django 6.
    """

    command = "db_worker"
    comes_with = (
        "pip install django-tasks-db and add 'django_tasks_db' to INSTALLED_APPS (up to "
        "django-tasks 0.11: add 'django_tasks.backends.database')."
    )
    # It reloads itself under DEBUG by re-executing sys.argv.
    defaults = ("--no-reload",)
    notifies = True

    def announce_ready(self, module: Any) -> None:
        """When it begins to look for tasks: it has no hook."""

        class Worker(module.Worker):  # type: ignore[misc]
            def run(self) -> None:
                notify.notify()
                super().run()

        module.Worker = Worker

    def recycles(self) -> bool:
        try:
            options = self.parse()
        except (PrintsOnly, ValueError):
            return False
        return options.batch or options.max_tasks is not None
