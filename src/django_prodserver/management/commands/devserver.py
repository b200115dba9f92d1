"""`manage.py devserver`: Django's `runserver`; or every process, reloaded when the code changes."""

from __future__ import annotations

import gc
import os
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.management import ManagementUtility
from django.core.management.base import CommandError, CommandParser

from django_prodserver.launch.selection import select
from django_prodserver.management.supervising import (
    SupervisingCommand,
    add_except,
    add_skip_oneshots,
)
from django_prodserver.settings.errors import trace
from django_prodserver.settings.findings import ConfigurationError, refuse
from django_prodserver.settings.load import read
from django_prodserver.settings.names import PROCESSES

# The project's `runserver`: staticfiles, Channels and others replace Django's.
_Runserver = type(ManagementUtility().fetch_command("runserver"))

HELP = """\
Run the development server, as `runserver` does. With --all or names, run every process of
PRODUCTION_PROCESSES, or the named ones, and reload them when the code changes."""


class Command(SupervisingCommand, _Runserver):  # type: ignore[misc, valid-type]
    help = HELP

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        group = parser.add_argument_group("Every process")
        group.add_argument("names", nargs="*", metavar="NAME", help="Run these processes.")
        group.add_argument("--all", action="store_true", help="Run every enabled process.")
        add_except(group, help="Leave these processes out; for --all.")
        add_skip_oneshots(group, help="Leave out oneshots; for --all.")

    def handle(self, *args: str, **options: Any) -> None:
        given = Namespace(**options)
        # `runserver` parses the first word as its address.
        words = [word for word in (given.addrport, *given.names) if word]
        if not (given.all or given.excluded or _has_names(words)):
            gc.enable()  # `apps` has disabled it, for a supervisor.
            super().handle(*args, **options)
            return
        with self.mistakes_in_a_sentence(given.traceback):
            try:
                self._develop(words, given)
            except ConfigurationError as error:
                if not given.traceback:
                    self.stderr.write("".join(map(trace, error.causes)), ending="")
                raise

    def _develop(self, words: Sequence[str], options: Namespace) -> None:
        if not hasattr(os, "fork"):
            raise CommandError("devserver --all requires Linux.")
        if find_spec("watchfiles") is None:
            raise CommandError(
                "devserver --all needs watchfiles, which is not installed here. "
                "Run: pip install watchfiles"
            )
        from django_prodserver.launch.development import for_development, web_servers

        configuration = read()
        if not configuration.processes:
            refuse(configuration.findings)
        selection = select(
            configuration,
            words,
            everything=options.all,
            excluded=options.excluded,
            only=options.only_type,
            prints=False,
        )
        servers = web_servers(configuration, selection.names)
        developed = for_development(configuration, servers).overridden(selection.replicas)
        checks = partial(self.check_of_project, options.skip_checks)
        self.supervise(developed, selection.names, (), checks, development=True)


def _has_names(words: Sequence[str]) -> bool:
    """Whether `words` name processes; a single word that does not may be an address."""
    known = getattr(settings, PROCESSES, None) or ()
    return len(words) > 1 or any(word.partition("=")[0] in known for word in words)
