"""The cluster of django-q2 with our hooks; imports django-q2 when called."""

from __future__ import annotations

import os
from functools import partial
from importlib import import_module
from typing import Any, Callable

from django_prodserver.posix import notify, stop_signals

from . import in_flight, multiprocessing


def announce(supervised: bool) -> None:
    """Send READY=1 when a cluster has started."""
    module: Any = import_module("django_q.cluster")
    cluster = module.Cluster
    start = cluster.start

    def start_and_notify(self: Any) -> Any:
        # Its handler waits for the end of all tasks; a second call meanwhile makes the first fail.
        stop_signals.count_as_one()
        pid = start(self)
        if self.is_running:  # A stop in the meantime also makes it return.
            notify.notify()
        return pid

    cluster.start = start_and_notify
    if in_flight.is_listened_to():
        _tell_of_its_tasks(module)
    if supervised:
        # The sentinel, and below it the workers, the monitor and the pusher.
        multiprocessing.die_with(os.getpid(), generations=2)


def _tell_of_its_tasks(cluster: Any) -> None:
    """The cluster gets the stop signal, and its workers, which are others, execute the tasks."""
    board = in_flight.Board()
    cluster.worker = partial(_work, cluster.worker, board)
    in_flight.tell_once_asked("task", board.count, board)


def _work(worker: Callable[..., None], board: in_flight.Board, tasks: Any, *others: Any) -> None:
    worker(_Tasks(tasks, in_flight.Running(board)), *others)


class _Tasks:
    """The queue of a worker, which executes what it takes before it takes the next."""

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
