"""The formats that render blocks of lines for the log: text and raw. JSON is in `json_lines`.

A rendered block is a list of pieces, to be written one after the other: what a process wrote is
copied at most once on its way, when its newlines are replaced.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from django_prodserver.supervisor.hints import Callable, ClassVar, Optional, Protocol, Union

from .lines import Block, whole

SYSTEM = "system"

Piece = Union[bytes, memoryview]
# The current time, as a format writes it.
Clock = Callable[[], str]


class Format(Protocol):
    """How lines are written into the log."""

    # Every line is a value for machines, also on stderr and before the log begins.
    for_machines: bool

    def render(self, name: str, stream: str, block: Block) -> list[Piece]:
        """Render a block of an instance, from its `stdout` or `stderr`."""

    def say(self, message: str, severity: str, fields: Mapping[str, object]) -> list[Piece]:
        """Render a message of the supervisor: INFO, WARNING or ERROR, with facts by name."""


class TextFormat:
    """`12:00:01 web.1    | the line`: names aligned, perhaps coloured. No time without a clock.

    Names longer than `max_width` columns are cut in the middle, unless two would look the same.
    """

    for_machines = False
    # ANSI foreground colours, readable on dark and light backgrounds; the supervisor has none.
    COLORS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
    # Yellow and red: the whole line about a failure, so that it stands out.
    COLORS_OF_SEVERITIES: ClassVar[Mapping[str, str]] = {"WARNING": "33", "ERROR": "31"}

    def __init__(
        self,
        names: Sequence[str],
        *,
        clock: Optional[Clock] = None,
        color: bool = False,
        max_width: Optional[int] = None,
    ) -> None:
        self._clock = clock
        shown = _shortened([SYSTEM, *names], max_width)
        width = max(map(len, shown.values()))
        self._start = {SYSTEM: b""}
        if color:
            for name, code in zip(names, itertools.cycle(self.COLORS)):
                self._start[name] = f"\x1b[{code}m".encode()
        self._width = width
        self._label = {name: f"{short:<{width}} |".encode() for name, short in shown.items()}
        self._end = b"\x1b[0m " if color else b" "
        self._colors = self.COLORS_OF_SEVERITIES if color else {}

    def _label_of(self, name: str) -> bytes:
        """The label of a name; a name not known beforehand does not widen the column."""
        label = self._label.get(name)
        if label is None:
            label = self._label[name] = f"{name:<{self._width}} |".encode()
        return label

    def render(self, name: str, stream: str, block: Block) -> list[Piece]:
        prefix = self._start.get(name, b"") + self._stamp() + self._label_of(name) + self._end
        body = block.body.replace(b"\n", b"\n" + prefix)
        # Leave out the prefix after the last newline, and the unfinished line that follows.
        surplus = len(prefix) + len(block.body) - block.end
        return [prefix, block.head, memoryview(body)[:-surplus]]

    def say(self, message: str, severity: str, fields: Mapping[str, object]) -> list[Piece]:
        line = encoded(message) + b"\n"
        code = self._colors.get(severity)
        if code is None:
            return self.render(SYSTEM, SYSTEM, whole(line))
        prefix = f"\x1b[{code}m".encode() + self._stamp() + self._label[SYSTEM] + b" "
        return [prefix, line[:-1], b"\x1b[0m\n"]

    def _stamp(self) -> bytes:
        return self._clock().encode() + b" " if self._clock else b""


def _shortened(names: Sequence[str], width: Optional[int]) -> dict[str, str]:
    """What is shown for each name: both of its ends, because instances differ at the end."""
    if width is None:
        return {name: name for name in names}
    ends = (width - 1) // 2, width // 2
    short = {
        name: name if len(name) <= width else f"{name[: ends[0]]}…{name[-ends[1] :]}"
        for name in names
    }
    shown = [*short.values()]
    return {name: one if shown.count(one) == 1 else name for name, one in short.items()}


class RawFormat:
    """The bytes that were written, and nothing else."""

    for_machines = False

    def render(self, name: str, stream: str, block: Block) -> list[Piece]:
        return [block.head, memoryview(block.body)[: block.end]]

    def say(self, message: str, severity: str, fields: Mapping[str, object]) -> list[Piece]:
        return [encoded(message) + b"\n"]


def encoded(text: str) -> bytes:
    # File names and system errors may contain surrogates (PEP 383).
    return text.encode(errors="replace")
