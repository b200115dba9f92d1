"""The cluster of django-q2: https://django-q2.readthedocs.io/"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

from .base import Queue
from .command import CommandBackend


class DjangoQ2Worker(CommandBackend):
    """ARGS are the arguments of `manage.py qcluster`.

    The command returns as soon as the cluster has started. The process lives on because
    multiprocessing joins the sentinel at exit. The sentinel is the child that forks all other
    processes.
    """

    requires: ClassVar[Mapping[str, str]] = {"django_q": "django-q2"}
    command = "qcluster"
    packages = ("django_q",)
    comes_with = "Add 'django_q' to INSTALLED_APPS."
    notifies = True
    pings = False
    import_time_variables = frozenset({"Q_CLUSTER_NAME"})
    is_an_app = True
    measures = frozenset({"queue", "queue-age"})

    def hook(self, *modules: ModuleType) -> None:
        from .hooks import django_q2 as hooks

        hooks.announce(supervised=self.instance is not None)

    def recycles_with(self, options: Any) -> bool:
        return bool(getattr(options, "run_once", False))

    def queue(self) -> Queue:
        from .hooks import django_q2 as hooks

        return Queue(*hooks.measure_queues(self.environ().get("Q_CLUSTER_NAME", "")))
