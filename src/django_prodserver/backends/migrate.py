"""Django's migrate: several supervisors may start it at once, and the site may be up meanwhile."""

from __future__ import annotations

import io
import os
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, Callable

from django.apps import apps
from django.core.management.base import BaseCommand, CommandParser
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.migrations.loader import MigrationLoader
from django.db.utils import OperationalError

from .base import BaseServerBackend, Problem
from .command import load_command, run_command
from .parsers import PrintsOnly, by_argparse

# How often to try if it does not get a lock in time, and the longest pause between two tries in
# seconds. The first pause is one second; each further one is twice as long.
TRIES, LONGEST_PAUSE = 10, 30
# https://www.postgresql.org/docs/current/errcodes-appendix.html
LOCK_NOT_AVAILABLE = "55P03"

# How many of the migrations to apply are named.
SHOWN = 5


class Migrate(BaseServerBackend):
    """ARGS are the options of `manage.py migrate`, and `lock-timeout`.

    `lock-timeout` is PostgreSQL's lock_timeout. While a migration waits to change a table, every
    other query on the table waits behind it. So the migration gives up after that time, and is
    tried again.
    """

    def prep_server_args(self) -> Sequence[str]:
        return ["--noinput", *self.args]

    def start_server(self, *args: str) -> None:
        lock_timeout = self.parse().lock_timeout
        if lock_timeout is not None:
            connection_created.connect(_lock_timeout(lock_timeout), weak=False)
        for tried in range(1, TRIES + 1):
            try:
                run_command(_command(), "migrate", *args)
                return
            except OperationalError as error:
                if not _is_lock_timeout(error) or tried == TRIES:
                    raise
            pause = min(2 ** (tried - 1), LONGEST_PAUSE)
            late = f"migrate got no lock within {lock_timeout}"
            sys.stderr.write(f"prodserver: {late}; trying again in {pause} s\n")
            threading.Event().wait(pause)

    def preload(self) -> None:
        load_command("migrate")

    def parse(self) -> Namespace:
        parser = _command().create_parser("manage.py", "migrate")
        return by_argparse(parser, self.prep_server_args(), "migrate")

    def problems(self) -> Iterator[Problem]:
        try:
            options = self.parse()
        except (PrintsOnly, ValueError):
            return  # This is reported for every backend.
        if options.database not in connections:
            known = ", ".join(connections)
            yield Problem(
                "ARGS",
                f"names {options.database!r}, which is not in DATABASES.",
                f"Known: {known}.",
            )
        elif options.lock_timeout and connections[options.database].vendor != "postgresql":
            message = "has lock-timeout, which only PostgreSQL supports."
            yield Problem("ARGS", message, "Leave it out.")

    def finishing_command(self) -> str:
        return "migrate"

    def work(self) -> str:
        """Include the names of all migrations: another release may have more."""
        return repr((super().work(), sorted(_migrations())))

    def preview(self) -> str:
        command, output = _command(), io.StringIO()
        command.stdout = command.stderr = type(command.stdout)(output)
        words = ["migrate", *self.prep_server_args(), "--plan", "--skip-checks", "--no-color"]
        try:
            run_command(command, *words)
        finally:
            connections.close_all()
        # Each migration's operations are listed, indented, below its name.
        _, *names = [line for line in output.getvalue().splitlines() if line[:1] != " "]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        shown = ", ".join(names[:SHOWN])
        return f"{len(names)} to apply: {shown}{more}" if names else "nothing to apply"


def _command() -> BaseCommand:
    """The project's command, with our option `--lock-timeout`."""
    command = load_command("migrate")
    add_arguments: Callable[[CommandParser], None] = command.add_arguments

    def with_ours(parser: CommandParser) -> None:
        add_arguments(parser)
        parser.add_argument("--lock-timeout", "--lock_timeout", metavar="TIME")

    vars(command)["add_arguments"] = with_ours
    return command


def _lock_timeout(value: str) -> Callable[..., None]:
    def set_it(connection: Any, **signal: object) -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [value])

    return set_it


def _is_lock_timeout(error: OperationalError) -> bool:
    cause: Any = error.__cause__
    code = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)  # psycopg 3, 2.
    return bool(code == LOCK_NOT_AVAILABLE)


def _migrations() -> Iterator[str]:
    """The file names of all migrations, without importing them."""
    for app in apps.get_app_configs():
        name, _ = MigrationLoader.migrations_module(app.label)
        spec = None
        with suppress(ImportError):
            spec = None if name is None else find_spec(name)
        folders = [] if spec is None else spec.submodule_search_locations or []
        for folder in folders:
            with suppress(OSError):
                yield from (f"{name}.{file}" for file in os.listdir(folder) if file[0] not in "_~")
