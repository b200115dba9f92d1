"""What the commands have in common that supervise processes: `prodserver` and `devserver`."""

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
        """What is wrong with the settings or with the project becomes a CommandError.

        With `traces` it is raised from the error of the project that is its cause.
        """
        try:
            yield
        except ConfigurationError as error:
            causes = error.causes
            if traces:
                # Python itself shows that of the first one.
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
            # Who calls this from a program wants to go on after it.
            returns=not getattr(self, "_called_from_command_line", False),
            development=development,
        )
        if status:
            sys.exit(status)

    def check_of_project(self, skip: bool, whole: bool = True) -> Callable[[], object]:
        """Django's system checks, unless they are to be skipped.

        If not the `whole`, then those that do not import the URLconf, as far as that is known.
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
    """Say it in one line, where each line is an object for machines; False where that is not so."""
    if not hasattr(os, "fork"):
        return False
    from django_prodserver.posix import early

    if not early.begun():
        return False
    # SystemCheckError says itself what it is, as in Django.
    kind = "" if isinstance(error, SystemCheckError) else f"{type(error).__name__}: "
    early.say(report.refused(f"{kind}{error}"))
    return True
