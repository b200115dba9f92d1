"""The database worker of django-tasks with our hook."""

from __future__ import annotations

from typing import Any

from django_prodserver.posix import notify


def announce(command: Any) -> None:
    """Send READY=1 when the worker begins to look for tasks: it has no hook for that.

    `command` is the module of the command `db_worker`, which has the class of the worker.
    """
    run = command.Worker.run

    def notify_and_run(self: Any) -> None:
        notify.notify()
        run(self)

    command.Worker.run = notify_and_run
