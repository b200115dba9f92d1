"""The database worker of django-tasks with our hooks: readiness, and a stop that loses no task."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any, Optional

from django_prodserver.posix import notify, stop_signals

from . import brokers, in_flight


def announce(command: Any) -> None:
    """Send READY=1 when the worker begins to look for tasks: it has no hook for that.

    `command` is the module of the command `db_worker`, which defines the worker's class.
    """
    run = command.Worker.run

    def notify_and_run(self: Any) -> None:
        stop_signals.count_as_one()
        notify.notify()
        run(self)

    _exit_at_once_only_asleep(command.Worker)
    command.Worker.run = notify_and_run
    if in_flight.has_notify_socket():
        _tell_of_its_task(command.Worker)


def _tell_of_its_task(worker: Any) -> None:
    running = in_flight.Running()
    run_task = worker.run_task

    def run_one_task(self: Any, *args: Any, **kwargs: Any) -> Any:
        with running.one():
            return run_task(self, *args, **kwargs)

    worker.run_task = run_one_task
    in_flight.report_after_stop_signal("task", running.count)


def _exit_at_once_only_asleep(worker: Any) -> None:
    """Make a stop signal end the worker at once only if it sleeps; otherwise after its task.

    The worker's own handler exits at once unless `running_task` is set. It is set a moment after a
    task has been claimed in the database: a signal in between loses the task, which stays "running"
    forever.
    """
    module: Any = sys.modules[worker.run.__module__]
    shutdown, state = worker.shutdown, SimpleNamespace(asleep=False)

    def sleep(seconds: float) -> None:
        state.asleep = True
        try:
            time.sleep(seconds)
        finally:
            state.asleep = False

    def shut_down(self: Any, *args: Any) -> None:
        before = self.running_task
        self.running_task = before or not state.asleep
        try:
            shutdown(self, *args)
        finally:
            self.running_task = before

    module.time = SimpleNamespace(**{**vars(time), "sleep": sleep})
    worker.shutdown = shut_down


def measure_queues(names: str, exclude: str, backend: str) -> tuple[int, int, Optional[float]]:
    """Return ready, running and age of the tasks that a worker with these options selects.

    Which instance runs a task is unknown, and a killed worker leaves its task "running".
    """
    from django.db.models import Case, F, Min, When
    from django.db.models.functions import Greatest
    from django.utils import timezone

    tasks = _model().objects.filter(backend_name=backend)
    if "*" not in names.split(","):
        tasks = tasks.filter(queue_name__in=names.split(","))
    if exclude:
        tasks = tasks.exclude(queue_name__in=exclude.split(","))
    with brokers.database(tasks.db):
        now = timezone.now()
        # Without a time to run after, the column is a date in the far future.
        later = When(run_after__lte=now, then=Greatest("run_after", "enqueued_at"))
        found = tasks.ready().aggregate(since=Min(Case(later, default=F("enqueued_at"))))["since"]
        ready, running = tasks.ready().count(), tasks.running().count()
    return ready, running, max(0.0, (now - found).total_seconds()) if found else 0.0


def _model() -> Any:
    from django.apps import apps

    return apps.get_model("django_tasks_database", "DBTaskResult")  # Both packages use this label.
