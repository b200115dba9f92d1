"""What `prodserver` and `devserver`, the commands that supervise processes, have in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, SystemCheckError

from django_prodserver.launch.examine import tags_without_urls
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.errors import trace
from django_prodserver.settings.findings import ConfigurationError, Finding
from django_prodserver.supervisor import report
from django_prodserver.supervisor.text import printable

if TYPE_CHECKING:
    from argparse import _ArgumentGroup


def add_except(group: _ArgumentGroup, help: str) -> None:
    group.add_argument(
        "--except",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        dest="excluded",
        help=help,
    )


def add_skip_oneshots(group: _ArgumentGroup, help: str) -> None:
    group.add_argument(
        "--skip-oneshots", action="store_const", const="service", dest="only_type", help=help
    )


class SupervisingCommand(BaseCommand):
    @contextmanager
    def mistakes_in_a_sentence(self, traces: bool) -> Iterator[None]:
        """Turn errors in the settings or the project into a CommandError.

        With `traces`, it is raised from the project's error that caused it.
        """
        try:
            yield
        except ConfigurationError as error:
            causes = error.causes
            if traces:
                # Python itself prints the traceback of the first cause.
                self.stderr.write("".join(map(trace, causes[1:])), ending="")
            raise CommandError(str(error)) from (causes[0] if causes else None)
        except SystemCheckError:
            raise  # Django's own report, of many lines.
        except CommandError as error:
            error.args = (printable(str(error)),)
            raise

    def execute(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            if options["traceback"] or not _say_to_machines(error):
                raise
            sys.exit(error.returncode)

    def supervise(
        self,
        configuration: Configuration,
        names: Sequence[str],
        extra: Sequence[str],
        check_of_project: Callable[[bool], Callable[[], object]],
        *,
        development: bool = False,
    ) -> None:
        if not hasattr(os, "fork"):
            raise CommandError(
                "Supervising several processes needs fork, which this platform does not have. "
                f"Start each with `prodserver NAME`: {', '.join(names)}."
            )
        from django_prodserver.launch.supervise import supervise_project

        status = supervise_project(
            configuration,
            *(names, extra, check_of_project, self.advise),
            # A program that uses `call_command` goes on afterwards.
            returns=not getattr(self, "_called_from_command_line", False),
            development=development,
        )
        if status:
            sys.exit(status)

    def check_of_project(self, skip: bool, whole: bool = True) -> Callable[[], object]:
        """Return a function that runs Django's system checks, or none if `skip`.

        If not `whole`, it runs only the checks that, by their tags, do not import the URLconf.
        """
        if skip:
            return lambda: None
        return self.check if whole else lambda: self.check(tags=tags_without_urls())

    def advise(self, finding: Finding) -> None:
        if finding.unanswered:
            self.stderr.write(f"WARNING: {finding}", self.style.WARNING)
        elif finding.check_id not in settings.SILENCED_SYSTEM_CHECKS:
            self.stderr.write(f"WARNING: ({finding.check_id}) {finding}", self.style.WARNING)


def _say_to_machines(error: CommandError) -> bool:
    """Log the error as one JSON object, if the output is JSON lines; return whether it is."""
    if not hasattr(os, "fork"):
        return False
    from django_prodserver.posix import early

    if not early.begun():
        return False
    # A SystemCheckError names itself in its text, as in Django.
    kind = "" if isinstance(error, SystemCheckError) else f"{type(error).__name__}: "
    early.say(report.refused(f"{kind}{error}"))
    return True
