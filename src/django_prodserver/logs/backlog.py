"""Lines that have to wait, in bounded memory."""

from __future__ import annotations

from collections import deque


class Backlog:
    """Keeps the first lines and the last ones, in about `size` bytes for each; counts the others.

    The first lines tell how it began, the last ones how it is now.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._clear()

    def __bool__(self) -> bool:
        return bool(self._first or self._last)

    def add(self, line: bytes) -> None:
        if not self._last and len(line) <= self._room:
            self._first.append(line)
            self._room -= len(line)
            return
        self._last.append(line)
        self._held += len(line)
        while self._held > self._size and len(self._last) > 1:
            self._held -= len(self._last.popleft())
            self._left_out += 1

    def take(self) -> tuple[bytes, int, bytes]:
        """Return the first lines, how many were left out after them, and the last ones."""
        taken = b"".join(self._first), self._left_out, b"".join(self._last)
        self._clear()
        return taken

    def _clear(self) -> None:
        self._first: list[bytes] = []
        self._last: deque[bytes] = deque()
        self._room = self._size
        self._held = 0
        self._left_out = 0
