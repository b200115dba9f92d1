"""The cluster of django-q2 with our hooks; imports django-q2 when called."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from django_prodserver.posix import notify

from . import multiprocessing


def announce(supervised: bool) -> None:
    """Send READY=1 when a cluster has started."""
    cluster: Any = import_module("django_q.cluster").Cluster
    start = cluster.start

    def start_and_notify(self: Any) -> Any:
        pid = start(self)
        if self.is_running:  # A stop in the meantime also makes it return.
            notify.notify()
        return pid

    cluster.start = start_and_notify
    if supervised:
        # The sentinel, and below it the workers, the monitor and the pusher.
        multiprocessing.die_with(os.getpid(), generations=2)
