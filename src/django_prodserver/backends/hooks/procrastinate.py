"""procrastinate's worker with our hooks; imports procrastinate when called."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from functools import partial
from importlib import import_module
from typing import Any, Optional

from django_prodserver.posix import notify, stop_signals

from . import brokers, in_flight

# The events that make a job ready.
DEFERRED = ("deferred", "deferred_for_retry")


def preload() -> None:
    for name in ("psycopg_connector", "worker"):
        import_module(f"procrastinate.{name}")
    import_module("procrastinate.contrib.django").app.perform_import_paths()


def announce() -> None:
    """Send READY=1 when the database has answered the first query for a job: there is no hook."""
    manager: Any = import_module("procrastinate.manager").JobManager
    fetch_job = manager.fetch_job

    async def fetch_first_job(*args: Any, **kwargs: Any) -> Any:
        job = await fetch_job(*args, **kwargs)
        manager.fetch_job = fetch_job
        notify.notify()
        return job

    manager.fetch_job = fetch_first_job


def tell_of_its_jobs() -> None:
    """Report its jobs from a thread, because a job may block the event loop."""
    if not in_flight.has_notify_socket():
        return
    worker: Any = import_module("procrastinate.worker").Worker
    stop = worker.stop
    stopping: list[Any] = []

    def stop_and_tell(self: Any) -> Any:
        if self not in stopping:
            stopping.append(self)
            in_flight.Reporter("job", partial(_running_jobs, self)).start_reporting()
        return stop(self)

    worker.stop = stop_and_tell


def _running_jobs(worker: Any) -> in_flight.Count:
    now = time.time()
    return in_flight.of_ages(
        now - job.start_timestamp for job in list(worker._running_jobs.values())
    )


def count_stop_signals_as_one() -> None:
    """Keep the signal handlers for a while after the first stop signal.

    procrastinate uninstalls them at once, and then waits for its running jobs: a second signal
    would kill it. `stop_signals.count_as_one` does not see them, because they belong to an event
    loop.
    """
    signals: Any = import_module("procrastinate.signals")
    uninstall = signals.uninstall

    def uninstall_later(loop: Optional[asyncio.AbstractEventLoop], **handlers: Any) -> None:
        if loop is None:
            uninstall(loop=loop, **handlers)
        else:
            loop.call_later(stop_signals.WINDOW, partial(uninstall, loop=loop, **handlers))

    signals.uninstall = uninstall_later


def measure_queues(
    alias: str, queues: Optional[Collection[str]]
) -> tuple[int, int, Optional[float]]:
    """Return ready, running and age, of all queues if none is named.

    Ready jobs are those that a free worker would begin: of several with the same lock, only the
    first. Which instance runs a job is unknown, and a killed worker leaves its job "doing".
    """
    from django.db.models import Count, Exists, Max, Min, OuterRef, Q
    from django.db.models.functions import Greatest, Now

    jobs = import_module("procrastinate.contrib.django.models").ProcrastinateJob.objects
    jobs = jobs.using(alias)
    ours = jobs.filter(queue_name__in=queues) if queues else jobs
    first = Q(priority__gt=OuterRef("priority"))
    first |= Q(priority=OuterRef("priority"), id__lt=OuterRef("id"))
    locking = jobs.filter(lock=OuterRef("lock")).filter(Q(status="doing") | Q(first, status="todo"))
    due = ours.filter(~Exists(locking), status="todo").exclude(scheduled_at__gt=Now())
    events = Q(procrastinateevent__type__in=DEFERRED)
    deferred = due.annotate(deferred=Max("procrastinateevent__at", filter=events))
    since = deferred.annotate(since=Greatest("deferred", "scheduled_at"))
    with brokers.database(alias):
        ready = since.aggregate(number=Count("id"), age=Now() - Min("since"))
        running = ours.filter(status="doing").count()
    age = ready["age"].total_seconds() if ready["age"] else 0.0
    return ready["number"], running, max(0.0, age)
