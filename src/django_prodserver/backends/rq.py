"""RQ's worker and rq-scheduler, as django-rq starts them: https://github.com/rq/django-rq"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar
from uuid import uuid4

from django.conf import settings

from django_prodserver.settings.wording import did_you_mean

from .base import Queue
from .command import CommandBackend
from .parsers import PID_FILE, Misfit


class RQBackend(CommandBackend):
    """What the worker and the scheduler have in common."""

    packages = ("django_rq",)
    comes_with = "Add 'django_rq' to INSTALLED_APPS."
    notifies = True
    pings = False
    import_time_variables = frozenset({"RQ_KEY_PREFIX"})
    is_an_app = True
    misfits: ClassVar[Mapping[str, Misfit]] = {"pid": PID_FILE}

    def check_queues(self, *names: str) -> None:
        """Raise ValueError if a queue is not configured, or if they are not in the same Redis."""
        from .hooks import rq as hooks

        configured: Collection[str] = getattr(settings, "RQ_QUEUES", {})
        for name in names:
            if name not in configured:
                hint = did_you_mean(name, configured)
                message = f"{self.command}: RQ_QUEUES has no queue {name!r}. {hint}"
                raise ValueError(message.rstrip())
        hooks.create_queues(*names)


class RQWorker(RQBackend):
    """ARGS are the arguments of `manage.py rqworker`; a list if they name queues."""

    requires: ClassVar[Mapping[str, str]] = {"django_rq": "django-rq"}
    command = "rqworker"
    measures = frozenset({"queue", "queue-age"})

    def defaults(self) -> Sequence[str]:
        if self.instance is None:
            return ()
        # A new name for each start: the name of a killed worker stays taken for eight minutes.
        return [f"--name={self.instance}.{uuid4().hex}"]

    def hook(self, *modules: ModuleType) -> None:
        from .hooks import rq as hooks

        hooks.announce_worker(supervised=self.instance is not None)

    def parse(self) -> Namespace:
        options = super().parse()
        self.check_queues(*_queues(options))
        replicas = self.config["REPLICAS"]
        if getattr(options, "name", None) is not None and self.instance is None and replicas > 1:
            raise ValueError(
                f"rqworker: --name {options.name} would be the name of {replicas} workers, and RQ "
                "refuses the second. Leave it out: each has a name of its own."
            )
        return options

    def recycles_with(self, options: Any) -> bool:
        limits = (getattr(options, name, None) for name in ("max_jobs", "max_idle_time"))
        return getattr(options, "burst", False) or any(limit is not None for limit in limits)

    def queue(self) -> Queue:
        from .hooks import rq as hooks

        return Queue(*hooks.measure_queues(*_queues(self.parse())))


class RQScheduler(RQBackend):
    """ARGS are the arguments of `manage.py rqscheduler`, the command for rq-scheduler."""

    requires: ClassVar[Mapping[str, str]] = {
        "django_rq": "django-rq",
        "rq_scheduler": "rq-scheduler",
    }
    command = "rqscheduler"

    def hook(self, *modules: ModuleType) -> None:
        from .hooks import rq as hooks

        hooks.announce_scheduler()

    def parse(self) -> Namespace:
        options = super().parse()
        self.check_queues(getattr(options, "queue", "default"))
        return options


def _queues(options: Namespace) -> Sequence[str]:
    return getattr(options, "args", None) or ["default"]
