"""RQ's worker and rq-scheduler, as django-rq starts them: https://github.com/rq/django-rq"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar
from uuid import uuid4

from django.conf import settings

from django_prodserver.posix import kernel, notify
from django_prodserver.settings.convert import did_you_mean

from .command import CommandBackend
from .parsers import PrintsOnly


class RQBackend(CommandBackend):
    """What both have in common."""

    comes_with = "Add 'django_rq' to INSTALLED_APPS."
    notifies = True
    import_time_variables = frozenset({"RQ_KEY_PREFIX"})
    is_an_app = True


class RQWorker(RQBackend):
    """ARGS are those of `manage.py rqworker`: a list, where queues are named."""

    requires: ClassVar[Mapping[str, str]] = {"django_rq": "django-rq"}
    command = "rqworker"

    def prep_server_args(self) -> Sequence[str]:
        args = super().prep_server_args()
        if self.instance is None:
            return args
        # Never twice the same: the name of a worker that was killed stays taken for eight minutes.
        name, *rest = args
        return [name, f"--name={self.instance}.{uuid4().hex}", *rest]

    def announce_ready(self, module: Any) -> None:
        from .hooks import multiprocessing

        get_worker = module.get_worker
        leader = os.getpid()

        def get_hooked_worker(*queues: str, **options: Any) -> Any:
            worker = get_worker(*queues, **options)
            _remember_to_stop(worker)
            _notify_when_it_listens(worker)
            if self.instance is not None:
                _let_horses_die_with(leader, worker)
                multiprocessing.die_with(leader)  # The scheduler of --with-scheduler.
            return worker

        module.get_worker = get_hooked_worker

    def parse(self) -> Namespace:
        options = super().parse()
        _check_queues("rqworker", *(options.args or ["default"]))
        replicas = self.config["REPLICAS"]
        if options.name is not None and self.instance is None and replicas > 1:
            raise ValueError(
                f"rqworker: --name {options.name} would be the name of {replicas} workers, and RQ "
                "refuses the second. Leave it out: each has a name of its own."
            )
        return options

    def recycles(self) -> bool:
        try:
            options = self.parse()
        except (PrintsOnly, ValueError):
            return False
        limits = (options.max_jobs, options.max_idle_time)
        return options.burst or any(limit is not None for limit in limits)


class RQScheduler(RQBackend):
    """ARGS are those of `manage.py rqscheduler`, the command for rq-scheduler."""

    requires: ClassVar[Mapping[str, str]] = {
        "django_rq": "django-rq",
        "rq_scheduler": "rq-scheduler",
    }
    command = "rqscheduler"

    def announce_ready(self, module: Any) -> None:
        get_scheduler = module.get_scheduler

        def get_hooked_scheduler(**options: Any) -> Any:
            scheduler = get_scheduler(**options)
            _notify_when_it_listens(scheduler)
            return scheduler

        module.get_scheduler = get_hooked_scheduler

    def parse(self) -> Namespace:
        options = super().parse()
        _check_queues("rqscheduler", options.queue)
        return options


def _check_queues(command: str, *names: str) -> None:
    """Raises ValueError where one is not configured, or they are not in one Redis."""
    configured: Collection[str] = getattr(settings, "RQ_QUEUES", {})
    for name in names:
        if name not in configured:
            hint = did_you_mean(name, configured)
            raise ValueError(f"{command}: RQ_QUEUES has no queue {name!r}. {hint}".rstrip())
    import_module("django_rq.queues").get_queues(*names)  # Made, not connected.


def _notify_when_it_listens(who: Any) -> None:
    """To install its signal handlers is the last thing that either does before its loop."""
    install = who._install_signal_handlers

    def install_and_notify() -> None:
        install()
        notify.notify()

    who._install_signal_handlers = install_and_notify


def _remember_to_stop(worker: Any) -> None:
    """Its handler raises StopRequested wherever an idle worker is, and that may get lost.

    Logging swallows it, for one (seen with RQ 3.0). The worker would go on for ever.
    """
    request_stop = worker.request_stop

    def remember_and_request_stop(*args: Any) -> None:
        worker._stop_requested = True  # What its loop looks at, in each turn.
        request_stop(*args)

    worker.request_stop = remember_and_request_stop


def _let_horses_die_with(leader: int, worker: Any) -> None:
    """A work horse, which executes one job, has a process group of its own."""
    work = worker.main_work_horse

    def die_with_the_worker_and_work(*args: Any) -> None:
        kernel.die_with_parent(leader)
        work(*args)

    worker.main_work_horse = die_with_the_worker_and_work
