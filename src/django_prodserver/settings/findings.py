"""A mistake in the configuration, and the error that carries all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Optional

from django_prodserver.supervisor.text import printable


@dataclass(frozen=True)
class Finding:
    """A mistake: where it is, what is wrong, what to do.

    `place` is a setting, such as `PRODUCTION_PROCESSES['web']['ARGS']`, or the name of a variable.
    A backend gives the key alone ("ARGS"), or "" for the process as a whole. `message` continues
    the sentence that `place` begins: "has to be one address.", or ": expected int, got str.".
    `id` is listed in docs/reference/checks.md; E009 is for what the software cannot work with.
    A `warning` prevents a start as every other finding does, but `manage.py check` passes.
    """

    place: str
    message: str
    hint: str = ""
    id: str = "E009"
    warning: bool = False
    # The error of the project's code that shows it, for `--traceback`.
    cause: Optional[BaseException] = field(default=None, compare=False, repr=False)

    @property
    def text(self) -> str:
        """The place and what is wrong there, without the hint."""
        space = "" if self.message.startswith(":") else " "
        return printable(f"{self.place}{space}{self.message}")

    def __str__(self) -> str:
        return f"{self.text} {printable(self.hint)}".rstrip()

    def within(self, outer: str) -> Finding:
        """The same with its whole place, where `place` is a key of `outer` or empty."""
        return replace(self, place=f"{outer}[{self.place!r}]" if self.place else outer)


class ConfigurationError(Exception):
    """Everything that is wrong with the configuration, as findings."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(map(str, self.findings)))

    @property
    def causes(self) -> list[BaseException]:
        """The errors that show it, each once."""
        found = {id(one.cause): one.cause for one in self.findings if one.cause is not None}
        return list(found.values())
