"""The cluster of django-q2 with our hooks."""

from __future__ import annotations

import os
from typing import Any

from django_prodserver.posix import notify

from . import multiprocessing


def announce(command: Any, supervised: bool) -> None:
    """Send READY=1 when the cluster has started; `command` is the module of `qcluster`."""
    if supervised:
        # The sentinel, and below it the workers, the monitor and the pusher.
        multiprocessing.die_with(os.getpid(), generations=2)

    class Cluster(command.Cluster):  # type: ignore[misc]
        def start(self) -> Any:
            pid = super().start()
            if self.is_running:  # A stop in the meantime also makes it return.
                notify.notify()
            return pid

    command.Cluster = Cluster
