"""The database worker of django-tasks: https://github.com/RealOrangeOne/django-tasks"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

from .base import Queue
from .command import CommandBackend
from .parsers import RELOADS, Misfit


class DjangoTasksWorker(CommandBackend):
    """ARGS are the arguments of `manage.py db_worker`.

    The command is part of django-tasks up to 0.11, and since then of django-tasks-db, which also
    runs the tasks of Django 6.
    """

    command = "db_worker"
    packages = ("django_tasks_db", "django_tasks")
    comes_with = (
        "pip install django-tasks-db and add 'django_tasks_db' to INSTALLED_APPS (up to "
        "django-tasks 0.11: add 'django_tasks.backends.database')."
    )
    notifies = True
    pings = False
    measures = frozenset({"queue", "queue-age"})
    misfits: ClassVar[Mapping[str, Misfit]] = {"reload": RELOADS}

    def defaults(self) -> Sequence[str]:
        # With DEBUG it would watch the code, and re-execute sys.argv on changes.
        return ["--no-reload"]

    def hook(self, *modules: ModuleType) -> None:
        from .hooks import django_tasks as hooks

        hooks.announce(modules[-1])

    def recycles_with(self, options: Any) -> bool:
        batch, limit = getattr(options, "batch", False), getattr(options, "max_tasks", None)
        return batch or limit is not None

    def queue(self) -> Queue:
        from .hooks import django_tasks as hooks

        options = self.parse()
        exclude = getattr(options, "exclude_queues", "")  # Only in django-tasks-db.
        return Queue(*hooks.measure_queues(options.queue_name, exclude, options.backend_name))
