"""The worker of procrastinate, over PostgreSQL: https://procrastinate.readthedocs.io/"""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

from django.conf import settings
from django.db import connections

from .base import Problem, Queue
from .command import CommandBackend, known_options, load_command
from .parsers import by_argparse, temporary_variables


class ProcrastinateWorker(CommandBackend):
    """ARGS are the arguments of `manage.py procrastinate worker`."""

    requires: ClassVar[Mapping[str, str]] = {"procrastinate": "procrastinate"}
    command = "procrastinate"
    packages = ("procrastinate",)
    comes_with = "Add 'procrastinate.contrib.django' to INSTALLED_APPS."
    notifies = True
    pings = False
    measures = frozenset({"queue", "queue-age"})

    def prep_server_args(self) -> Sequence[str]:
        # Options of Django come before the subcommand, options of the worker after it.
        defaults = known_options(self.command, list(self._defaults()), "worker")
        return [self.command, *self.skip_checks(), "worker", *defaults, *self.args]

    def _defaults(self) -> Iterator[str]:
        """Options that ARGS can override; without those that the environment or a setting sets."""
        # Without a limit it waits forever for running jobs.
        limit = self.graceful_limit()
        environ = self.environ()
        for name, value in (("name", self.instance), ("shutdown_graceful_timeout", limit)):
            variable = f"PROCRASTINATE_WORKER_{name.upper()}"
            if value and not environ.get(variable) and name not in _worker_defaults():
                yield f"--{name.replace('_', '-')}={value}"

    def hook(self, *modules: ModuleType) -> None:
        from .hooks import procrastinate as hooks

        hooks.count_stop_signals_as_one()
        hooks.announce()
        hooks.tell_of_its_jobs()

    def preload(self) -> None:
        from .hooks import procrastinate as hooks

        super().preload()
        hooks.preload()

    def problems(self) -> Iterator[Problem]:
        found = list(super().problems())
        yield from found
        alias = _database()
        if not found and connections[alias].vendor != "postgresql":
            message = f"needs PostgreSQL, but DATABASES[{alias!r}] does not use it."
            hint = "PROCRASTINATE_DATABASE_ALIAS can name another database."
            yield Problem("BACKEND", message, hint)

    def parse(self) -> Namespace:
        with temporary_variables(self.env):
            try:  # Its parser reads variables when it is created.
                parser = load_command(self.command).create_parser("manage.py", self.command)
            except (ArgumentTypeError, ValueError) as error:
                raise ValueError(f"a variable PROCRASTINATE_* is wrong: {error}") from None
            return by_argparse(parser, self.prep_server_args()[1:], self.command)

    def recycles_with(self, options: Any) -> bool:
        return not getattr(options, "wait", _worker_defaults().get("wait", True))

    def queue(self) -> Queue:
        from .hooks import procrastinate as hooks

        queues = getattr(self.parse(), "queues", _worker_defaults().get("queues"))
        return Queue(*hooks.measure_queues(_database(), queues))


def _database() -> str:
    """The alias of procrastinate's database."""
    return getattr(settings, "PROCRASTINATE_DATABASE_ALIAS", "default")


def _worker_defaults() -> Mapping[str, Any]:
    return getattr(settings, "PROCRASTINATE_WORKER_DEFAULTS", None) or {}
