"""Blocks of lines to what stands in the log: the three log formats.

A rendered block is a list of pieces, to be written one after the other: what a process wrote is
copied at most once on its way, by the replacement of its newlines.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Callable, Optional, Protocol, Union

import msgspec

from .lines import Block

SYSTEM = "system"

Piece = Union[bytes, memoryview]
# Tells what time it is, in the words of a format.
Clock = Callable[[], str]


class Format(Protocol):
    """How lines are written into the log."""

    def render(self, name: str, stream: str, block: Block) -> list[Piece]:
        """Render a block of an instance, from its `stdout` or `stderr`; or of `system` itself."""


class TextFormat:
    """`12:00:01 web.1    | the line`: names aligned, perhaps coloured. No time without a clock."""

    # ANSI foreground colours that can be read on dark and on light; the supervisor has none.
    COLORS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")

    def __init__(
        self, names: Sequence[str], *, clock: Optional[Clock] = None, color: bool = False
    ) -> None:
        self._clock = clock
        width = max(map(len, [SYSTEM, *names]))
        self._start = {SYSTEM: b""}
        if color:
            for name, code in zip(names, itertools.cycle(self.COLORS)):
                self._start[name] = f"\x1b[{code}m".encode()
        self._label = {name: f"{name:<{width}} |".encode() for name in [SYSTEM, *names]}
        self._end = b"\x1b[0m " if color else b" "

    def render(self, name: str, stream: str, block: Block) -> list[Piece]:
        stamp = self._clock().encode() + b" " if self._clock else b""
        prefix = self._start.get(name, b"") + stamp + self._label[name] + self._end
        body = block.body.replace(b"\n", b"\n" + prefix)
        # The last newline got a prefix, too; behind it is what is no line yet.
        surplus = len(prefix) + len(block.body) - block.end
        return [prefix, block.head, memoryview(body)[:-surplus]]


class RawFormat:
    """The bytes that were written, and nothing else."""

    def render(self, name: str, stream: str, block: Block) -> list[Piece]:
        return [block.head, memoryview(block.body)[: block.end]]


class _Entry(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    time: Optional[str] = None
    process: str
    stream: str


class _Message(_Entry, kw_only=True, omit_defaults=True, gc=False):
    message: str


class _Data(_Entry, kw_only=True, omit_defaults=True, gc=False):
    data: msgspec.Raw


class JsonFormat:
    """One JSON object a line, in UTF-8; a line that is a JSON object itself is nested as it is.

    Bytes that are not UTF-8 become U+FFFD. No time without a clock. (RFC 8259)
    """

    def __init__(self, *, clock: Optional[Clock] = None) -> None:
        self._clock = clock
        self._encode = msgspec.json.Encoder().encode_lines
        self._validate = msgspec.json.Decoder(msgspec.Raw).decode

    def render(self, name: str, stream: str, block: Block) -> list[Piece]:
        time = self._clock() if self._clock else None
        lines = bytes(block).decode(errors="replace").split("\n")
        del lines[-1]
        entries = [
            _Data(time=time, process=name, stream=stream, data=msgspec.Raw(line.encode()))
            if self._is_object(line)
            else _Message(time=time, process=name, stream=stream, message=line)
            for line in lines
        ]
        return [self._encode(entries)]

    def _is_object(self, line: str) -> bool:
        if not line.lstrip().startswith("{"):
            return False
        try:
            self._validate(line)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True
