"""Bytes in, whole prefixed lines out; the work is per chunk, not per line."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

MAX_LINE = 65536


class Lines:
    """Cuts the chunks of one writer into blocks of whole lines.

    A block ends with a newline or is empty. What a chunk leaves unfinished waits for its newline,
    but never more than `max_line` bytes of it: a longer line becomes pieces of that size, each a
    line of its own, so that memory is bounded whatever is written.
    """

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk; return the lines that it completes."""
        end = chunk.rfind(b"\n") + 1
        if end:
            block, self._rest = self._rest + chunk[:end], chunk[end:]
        else:
            block, self._rest = b"", self._rest + chunk
        if self._may_hold_long_line(block):
            block = self._cut(block)
        if len(self._rest) > self._max_line:
            pieces = self._cut(self._rest)
            end = pieces.rfind(b"\n") + 1
            block, self._rest = block + pieces[:end], pieces[end:]
        return block

    def finish(self) -> bytes:
        """Return what has no newline yet, as a line; for the end of the stream."""
        rest, self._rest = self._rest, b""
        return rest + b"\n" if rest else b""

    def _may_hold_long_line(self, block: bytes) -> bool:
        # A line longer than `max_line` covers an aligned window of half that size whole. So a look
        # for one newline in each window tells, and finds it at the window's start mostly.
        window = max(1, self._max_line // 2)
        return len(block) > self._max_line and any(
            block.find(b"\n", start, start + window) < 0
            for start in range(0, len(block) - window, window)
        )

    def _cut(self, block: bytes) -> bytes:
        size = self._max_line
        return b"\n".join(
            line
            if len(line) <= size
            else b"\n".join(line[i : i + size] for i in range(0, len(line), size))
            for line in block.split(b"\n")
        )


def prefixed(block: bytes, prefix: bytes) -> bytes:
    """Put the prefix before each line of a block of whole lines."""
    if not block:
        return b""
    return prefix + block[:-1].replace(b"\n", b"\n" + prefix) + b"\n"


class TextFormat:
    """The `text` log format: `12:00:01 web.1    | the line`, names aligned, optionally coloured."""

    # ANSI foreground colours that can be read on dark and on light; the supervisor has none.
    COLORS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
    SYSTEM = "system"

    def __init__(
        self, names: Sequence[str], *, timestamps: bool = True, color: bool = False
    ) -> None:
        self._timestamps = timestamps
        width = max(map(len, [self.SYSTEM, *names]))
        self._start = {self.SYSTEM: b""}
        if color:
            for name, code in zip(names, itertools.cycle(self.COLORS)):
                self._start[name] = f"\x1b[{code}m".encode()
        self._label = {name: f"{name:<{width}} |".encode() for name in [self.SYSTEM, *names]}
        self._end = b"\x1b[0m " if color else b" "

    def block(self, name: str, block: bytes, time: str) -> bytes:
        """Prefix a block of whole lines that came from `name` at `time` (`HH:MM:SS`)."""
        stamp = time.encode() + b" " if self._timestamps else b""
        start = self._start.get(name, b"")
        return prefixed(block, start + stamp + self._label[name] + self._end)
