"""Bytes that wait for a slower reader; large pieces are not copied."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from django_prodserver.supervisor.hints import Union

Pieces = Sequence[Union[bytes, bytearray, memoryview]]

# Pieces of up to SMALL bytes are joined into pieces of about JOINED: an object for each would take
# more memory than its bytes do.
SMALL, JOINED = 1 << 12, 1 << 16
# How many pieces writev(2) takes, IOV_MAX, less one for a newline before them.
MOST = 1023


class Held:
    """Bytes in the pieces they came in, with small ones joined; `size` is the number of bytes."""

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: deque[Union[bytearray, memoryview]] = deque()
        self.size = 0

    def add(self, pieces: Pieces, start: int = 0) -> None:
        """Hold these pieces, but not their first `start` bytes."""
        for piece in pieces:
            if start < len(piece):
                self._add(memoryview(piece)[start:])
            start = max(0, start - len(piece))

    def first(self) -> Pieces:
        """All of it, or as many pieces as can be written at once."""
        return [*islice(self._pieces, MOST)]

    def remove(self, count: int) -> None:
        """Forget the first `count` bytes."""
        self.size -= count
        while count:
            piece = self._pieces.popleft()
            if count < len(piece):
                self._pieces.appendleft(piece[count:])
                return
            count -= len(piece)

    def clear(self) -> None:
        self._pieces.clear()
        self.size = 0

    def _add(self, piece: memoryview) -> None:
        self.size += len(piece)
        if len(piece) > SMALL:
            self._pieces.append(piece)
            return
        last = self._pieces[-1] if self._pieces else None
        if isinstance(last, bytearray) and len(last) < JOINED:
            last += piece
        else:
            self._pieces.append(bytearray(piece))
