"""A mistake in the configuration, and the error that carries all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Optional

from django_prodserver.supervisor.text import printable

from .errors import unreachable


@dataclass(frozen=True)
class Finding:
    """A mistake: where it is, what is wrong, what to do.

    `place` is a setting, such as `PRODUCTION_PROCESSES['web']['ARGS']`, or the name of a variable.
    A backend gives the key alone ("ARGS"), or "" for the process as a whole. `message` continues
    the sentence that `place` begins: "has to be one address.", or ": expected int, got str.".
    `id` is listed in docs/reference/checks.md; E009 is for what the software cannot work with.
    With a `warning`, `manage.py check` passes. A start is still refused if the finding `blocks`,
    which advice does not.
    """

    place: str
    message: str
    hint: str = ""
    id: str = "E009"
    warning: bool = False
    advises: bool = False
    # It prevents a start even if the `cause` is a service that does not answer.
    fatal: bool = False
    # The exception of the project's code behind it, for `--traceback`.
    cause: Optional[BaseException] = field(default=None, compare=False, repr=False)

    @property
    def unanswered(self) -> bool:
        """Whether the only problem is that a database or a broker did not answer.

        That does not prevent a start: another process may start the service or wait for it. A
        process that needs it will fail by itself.
        """
        return not self.fatal and unreachable(self.cause)

    @property
    def blocks(self) -> bool:
        """Whether it prevents a start."""
        return not self.advises and not self.unanswered

    @property
    def level(self) -> str:
        """The severity for a start: "error" if it prevents one, else "warning"."""
        return "error" if self.blocks else "warning"

    @property
    def check_id(self) -> str:
        """The id for Django's system checks; the project's own checks have complete ids."""
        return f"prodserver.{self.id}" if re.fullmatch("[EW][0-9]{3}", self.id) else self.id

    @property
    def text(self) -> str:
        """The place and what is wrong there, without the hint."""
        space = "" if self.message.startswith(":") or not self.place else " "
        return printable(f"{self.place}{space}{self.message}")

    def __str__(self) -> str:
        # Show the ids of the project's own checks: SILENCED_SYSTEM_CHECKS takes them.
        own = f"({self.id}) " if "." in self.id else ""
        if self.unanswered and not self.advises:
            return f"{own}{self.text.rstrip('.')}; going on, because it may answer later"
        return f"{own}{self.text} {printable(self.hint)}".rstrip()

    def within(self, outer: str) -> Finding:
        """A copy with the full place; `place` must be a key of `outer`, or empty."""
        return replace(self, place=f"{outer}[{self.place!r}]" if self.place else outer)


def advice(place: str, message: str, hint: str, id: str) -> Finding:
    """A finding that may be a mistake, but does not prevent a start."""
    return Finding(place, message, hint, id, warning=True, advises=True)


class ConfigurationError(Exception):
    """Everything that prevents a start, as findings."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = [finding for finding in findings if finding.blocks]
        super().__init__("\n".join(map(str, self.findings)))

    @property
    def causes(self) -> list[BaseException]:
        """The exceptions behind the findings, each once."""
        found = {id(one.cause): one.cause for one in self.findings if one.cause is not None}
        return list(found.values())


def refuse(findings: Iterable[Finding]) -> None:
    """Raise ConfigurationError if any finding prevents a start."""
    error = ConfigurationError(findings)
    if error.findings:
        raise error
