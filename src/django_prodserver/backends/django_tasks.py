"""The database worker of django-tasks: https://github.com/RealOrangeOne/django-tasks"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management import CommandError, get_commands

from django_prodserver.posix import notify

from .base import BaseServerBackend, PrintsOnly, Problem, quietly
from .command import load_command, run_command

COMMAND = "db_worker"


class DjangoTasksWorker(BaseServerBackend):
    """ARGS are those of `manage.py db_worker`.

    It comes with django-tasks up to 0.11, and with django-tasks-db since, where the tasks
    themselves may be those of Django 6.
    """

    notifies = True

    def prep_server_args(self) -> Sequence[str]:
        # It reloads itself under DEBUG by re-executing sys.argv; the last one counts.
        # The supervisor has run the system checks; they are for every process the same.
        checked = [] if self.instance is None else ["--skip-checks"]
        return [COMMAND, "--no-reload", *checked, *self.args]

    def start_server(self, *args: str) -> None:
        command = load_command(args[0])
        _announce(sys.modules[type(command).__module__])
        run_command(command, *args)

    def preload(self) -> None:
        load_command(COMMAND)

    def problems(self) -> Iterator[Problem]:
        if COMMAND not in get_commands():
            message = f"needs the management command {COMMAND}, which no installed app has."
            hint = (
                "pip install django-tasks-db and add 'django_tasks_db' to INSTALLED_APPS (up to "
                "django-tasks 0.11: add 'django_tasks.backends.database')."
            )
            yield Problem("BACKEND", message, hint)

    def recycles(self) -> bool:
        name, *args = self.prep_server_args()
        try:
            with quietly(name):
                options = load_command(name).create_parser("manage.py", name).parse_args(args)
        except (CommandError, PrintsOnly):
            return False
        return options.batch or options.max_tasks is not None


def _announce(module: Any) -> None:
    """Let the worker say that it is ready when it begins to look for tasks: it has no hook."""

    class Worker(module.Worker):  # type: ignore[misc]
        def run(self) -> None:
            notify.notify()
            super().run()

    module.Worker = Worker
