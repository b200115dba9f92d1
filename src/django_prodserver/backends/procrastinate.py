"""The worker of procrastinate, over PostgreSQL: https://procrastinate.readthedocs.io/"""

from __future__ import annotations

import os
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from django.conf import settings
from django.db import connections

from django_prodserver.posix import notify

from .base import Problem
from .command import CommandBackend, load_command
from .parsers import PrintsOnly, by_argparse, temporary_variables


class ProcrastinateWorker(CommandBackend):
    """ARGS are those of `manage.py procrastinate worker`."""

    requires: ClassVar[Mapping[str, str]] = {"procrastinate": "procrastinate"}
    command = "procrastinate"
    comes_with = "Add 'procrastinate.contrib.django' to INSTALLED_APPS."
    notifies = True

    def prep_server_args(self) -> Sequence[str]:
        # An option of Django stands before the sub-command, those of the worker behind it.
        checked = [] if self.instance is None else ["--skip-checks"]
        return [self.command, *checked, "worker", *self._defaults(), *self.args]

    def _defaults(self) -> Iterator[str]:
        """Unless ARGS, which come later, or the environment or the project's settings say it."""
        # Without a limit it waits for ever for the jobs in hand.
        limit = self.graceful_limit()
        environ = {**os.environ, **self.config.get("ENV", {})}
        for name, value in (("name", self.instance), ("shutdown_graceful_timeout", limit)):
            said = environ.get(f"PROCRASTINATE_WORKER_{name.upper()}") or name in _of_the_project()
            if value and not said:
                yield f"--{name.replace('_', '-')}={value}"

    def announce_ready(self, module: Any) -> None:
        """When the database has answered what there is to do: it has no hook."""
        manager: Any = import_module("procrastinate.manager").JobManager
        fetch_job = manager.fetch_job

        async def first(*args: Any, **kwargs: Any) -> Any:
            job = await fetch_job(*args, **kwargs)
            manager.fetch_job = fetch_job
            notify.notify()
            return job

        manager.fetch_job = first

    def preload(self) -> None:
        super().preload()
        for name in ("psycopg_connector", "worker"):
            import_module(f"procrastinate.{name}")
        import_module("procrastinate.contrib.django").app.perform_import_paths()

    def problems(self) -> Iterator[Problem]:
        found = list(super().problems())
        yield from found
        alias = getattr(settings, "PROCRASTINATE_DATABASE_ALIAS", "default")
        if not found and connections[alias].vendor != "postgresql":
            message = f"needs PostgreSQL, which DATABASES[{alias!r}] is not."
            hint = "PROCRASTINATE_DATABASE_ALIAS can name another database."
            yield Problem("BACKEND", message, hint)

    def parse(self) -> Namespace:
        with temporary_variables(self.config.get("ENV", {})):
            try:  # Its parser reads variables when it is made.
                parser = load_command(self.command).create_parser("manage.py", self.command)
            except (ArgumentTypeError, ValueError) as error:
                raise ValueError(f"a variable PROCRASTINATE_* is wrong: {error}") from None
            return by_argparse(parser, self.prep_server_args()[1:], self.command)

    def recycles(self) -> bool:
        try:
            options = self.parse()
        except (PrintsOnly, ValueError):
            return False
        return not getattr(options, "wait", _of_the_project().get("wait", True))


def _of_the_project() -> Mapping[str, Any]:
    return getattr(settings, "PROCRASTINATE_WORKER_DEFAULTS", None) or {}
