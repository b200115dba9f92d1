"""The cluster of django-q2: https://django-q2.readthedocs.io/"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from django_prodserver.posix import notify

from .command import CommandBackend
from .parsers import PrintsOnly


class DjangoQ2Worker(CommandBackend):
    """ARGS are those of `manage.py qcluster`.

    The command returns as soon as the cluster is started. What keeps the process alive is that
    multiprocessing, at its exit, joins the sentinel: the child that has forked all others.
    """

    requires: ClassVar[Mapping[str, str]] = {"django_q": "django-q2"}
    command = "qcluster"
    comes_with = "Add 'django_q' to INSTALLED_APPS."
    notifies = True
    import_time_variables = frozenset({"Q_CLUSTER_NAME"})
    is_an_app = True

    def announce_ready(self, module: Any) -> None:
        from .hooks import multiprocessing

        if self.instance is not None:
            # The sentinel, and the workers, the monitor and the pusher below it.
            multiprocessing.die_with(os.getpid(), generations=2)

        class Cluster(module.Cluster):  # type: ignore[misc]
            def start(self) -> Any:
                pid = super().start()
                if self.is_running:  # It returns as well when it is stopped meanwhile.
                    notify.notify()
                return pid

        module.Cluster = Cluster

    def recycles(self) -> bool:
        try:
            options = self.parse()
        except (PrintsOnly, ValueError):
            return False
        return bool(options.run_once)
