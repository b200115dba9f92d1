"""RQ's workers and rq-scheduler with our hooks; imports django-rq when called."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib import import_module
from typing import Any, Callable, Optional

from django_prodserver.posix import kernel, notify, stop_signals

from . import brokers, in_flight, multiprocessing

# The Redis key of an instance's worker that has its default name.
WORKER = re.compile(rb".*:(?P<instance>[^:]+\.\d+)\.[0-9a-f]{32}")


def create_queues(*names: str) -> None:
    """Create queue objects without connecting. Raises ValueError if their Redis servers differ."""
    import_module("django_rq.queues").get_queues(*names)


def announce_worker(supervised: bool) -> None:
    """Hook into workers of any class when they begin to work."""
    leader = os.getpid()

    def hook(worker: Any) -> None:
        _remember_to_stop(worker)
        _notify_after_signal_handlers(worker)
        if in_flight.has_notify_socket():
            _tell_of_its_job(worker)
        if supervised:
            _let_horses_die_with(leader, worker)
            multiprocessing.die_with(leader)  # The scheduler of --with-scheduler.

    _call_before(import_module("rq").Worker, "work", hook)


def announce_scheduler() -> None:
    """Hook into the scheduler when it begins to run."""
    scheduler = import_module("rq_scheduler.scheduler").Scheduler
    _call_before(scheduler, "run", _notify_after_signal_handlers)


def _call_before(cls: Any, name: str, hook: Callable[[Any], None]) -> None:
    """Make a method call the hook first, in the class that defines it, for all subclasses."""
    owner = next(base for base in cls.__mro__ if name in vars(base))
    method = vars(owner)[name]

    def call_hook_first(self: Any, *args: Any, **options: Any) -> Any:
        hook(self)
        return method(self, *args, **options)

    setattr(owner, name, call_hook_first)


def _notify_after_signal_handlers(runner: Any) -> None:
    """Worker and scheduler install their signal handlers last, right before their loop."""
    install = runner._install_signal_handlers

    def install_and_notify() -> None:
        install()
        stop_signals.count_as_one()
        notify.notify()

    runner._install_signal_handlers = install_and_notify


def _remember_to_stop(worker: Any) -> None:
    """Make a stop signal set the flag that the worker's loop checks.

    The signal handler of an idle worker only raises StopRequested. If some code swallows the
    exception, such as logging (seen with RQ 3.0), the worker never stops.
    """
    request_stop = worker.request_stop

    def remember_and_request_stop(*args: Any) -> None:
        worker._stop_requested = True
        request_stop(*args)

    worker.request_stop = remember_and_request_stop


def _tell_of_its_job(worker: Any) -> None:
    """The worker waits for its work horse, or executes the job itself (SimpleWorker)."""
    running = in_flight.Running()
    execute_job = worker.execute_job

    def execute_one_job(*args: Any, **kwargs: Any) -> Any:
        with running.one():
            return execute_job(*args, **kwargs)

    worker.execute_job = execute_one_job
    in_flight.report_after_stop_signal("job", running.count)


def _let_horses_die_with(leader: int, worker: Any) -> None:
    """Make work horses die with the worker: each executes one job in its own process group."""
    work = worker.main_work_horse

    def die_with_the_worker_and_work(*args: Any) -> None:
        kernel.die_with_parent(leader)
        work(*args)

    worker.main_work_horse = die_with_the_worker_and_work


def measure_queues(*names: str) -> tuple[int, int, Optional[float], Optional[dict[str, int]]]:
    """Return ready, running, age, and running jobs per instance.

    RQ's own count of running jobs would also remove the jobs of dead workers.
    """
    queues = import_module("django_rq.queues").get_queues(*names)
    with brokers.redis(queues[0].connection) as client:
        now = time.time()
        with client.pipeline() as pipe:
            for queue in queues:
                pipe.llen(queue.key).lindex(queue.key, 0)
                pipe.zcount(queue.started_job_registry.key, f"({int(now)}", "+inf")
            answers = pipe.execute()
        ready, oldest, running = sum(answers[::3]), answers[1::3], sum(answers[2::3])
        since = [
            _enqueued_at(client, queue, job.decode()) for queue, job in zip(queues, oldest) if job
        ]
        known = [at for at in since if at is not None]
        age = max(0.0, now - min(known, default=now)) if len(known) == len(since) else None
        return ready, running, age, _of_instances(client)


def _enqueued_at(client: Any, queue: Any, job: str) -> Optional[float]:
    at = client.hget(queue.job_class.key_for(job), "enqueued_at")
    if at is None:
        return None
    parsed: datetime = import_module("rq.utils").utcparse(at.decode())
    return parsed.replace(tzinfo=timezone.utc).timestamp()  # RQ 2.0 does not say which zone it is.


def _of_instances(client: Any) -> Optional[dict[str, int]]:
    """Running jobs per instance, of its youngest worker: dead workers stay for a while."""
    found = ((WORKER.fullmatch(key), key) for key in client.smembers(_workers()))
    workers = [(match["instance"].decode(), key) for match, key in found if match]
    with client.pipeline() as pipe:
        for _, key in workers:
            pipe.hmget(key, "birth", "hostname", "current_job")
            pipe.scard(key + b":executions")  # Since RQ 3, instead of `current_job`.
        answers = pipe.execute()
    here = socket.gethostname().encode()
    born: Iterable[tuple[bytes, str, int]] = sorted(
        (birth, instance, executions or int(job is not None))
        for (instance, _), (birth, hostname, job), executions in zip(
            workers, answers[::2], answers[1::2]
        )
        if birth and hostname == here
    )
    return {instance: jobs for _, instance, jobs in born} or None


def _workers() -> str:
    """The Redis key of the set of all worker keys."""
    return str(import_module("rq").Worker.redis_workers_keys)
