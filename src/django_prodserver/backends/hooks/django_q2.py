"""The cluster of django-q2 with our hooks; imports django-q2 when called."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module
from typing import Any, Callable, Optional

from django_prodserver.posix import notify, stop_signals

from . import brokers, in_flight, multiprocessing


def announce(supervised: bool) -> None:
    """Send READY=1 when a cluster has started."""
    module: Any = import_module("django_q.cluster")
    cluster = module.Cluster
    start = cluster.start

    def start_and_notify(self: Any) -> Any:
        # Its handler waits for the end of all tasks; a second call meanwhile makes the first fail.
        stop_signals.count_as_one()
        pid = start(self)
        if self.is_running:  # It also returns if it is stopped meanwhile.
            notify.notify()
        return pid

    cluster.start = start_and_notify
    if in_flight.has_notify_socket():
        _tell_of_its_tasks(module)
    if supervised:
        # The sentinel, and below it the workers, the monitor and the pusher.
        multiprocessing.die_with(os.getpid(), generations=2)


def _tell_of_its_tasks(cluster: Any) -> None:
    """The cluster process gets the stop signal; its workers, other processes, execute tasks."""
    board = in_flight.Board()
    cluster.worker = partial(_work, cluster.worker, board)
    in_flight.report_after_stop_signal("task", board.count, board)


def _work(worker: Callable[..., None], board: in_flight.Board, tasks: Any, *others: Any) -> None:
    worker(_Tasks(tasks, in_flight.Running(board)), *others)


class _Tasks:
    """The queue of a worker, which finishes each task before it takes the next."""

    def __init__(self, tasks: Any, running: in_flight.Running) -> None:
        self._tasks = tasks
        self._running = running

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tasks, name)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        self._running.ended(self)
        task = self._tasks.get(*args, **kwargs)
        if task != "STOP":
            self._running.began(self)
        return task


def measure_queues(name: str) -> tuple[int, int, Optional[float]]:
    """Return ready, running and age of the queue of that name; "" is the one in the settings.

    Redis does not keep the tasks that a cluster has taken: none of them counts as running.
    """
    with _broker(name) as broker:
        ready, running = int(broker.queue_size()), int(broker.lock_size() or 0)
        now = time.time()
        since = _since(broker) if ready else now
    return ready, running, None if since is None else max(0.0, now - since)


@contextmanager
def _broker(name: str) -> Iterator[Any]:
    conf: Any = import_module("django_q.conf").Conf
    with brokers.database(conf.ORM) if conf.ORM else nullcontext():
        broker = import_module("django_q.brokers").get_broker(name or None)
        of_redis = hasattr(broker.connection, "connection_pool")
        with brokers.redis(broker.connection) if of_redis else nullcontext():
            yield broker


def _since(broker: Any) -> Optional[float]:
    """When the oldest ready task was enqueued; None if the broker does not say."""
    from django.db.models import Min, QuerySet

    if hasattr(broker.connection, "lindex"):
        task = broker.connection.lindex(broker.list_key, 0)
        package = import_module("django_q.signing").SignedPackage
        return float(package.loads(task)["started"].timestamp()) if task else None
    if isinstance(broker.connection, QuerySet):
        # A task may be taken after this time, which is at first when it was enqueued.
        queue = broker.connection.filter(key=broker.list_key)
        oldest = queue.aggregate(since=Min("lock"))["since"]
        return float(oldest.timestamp()) if oldest else None
    return None
