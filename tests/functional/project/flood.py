"""Numbered lines of varying content and length, generated both to write and to verify them."""

from __future__ import annotations

import random
import string

_TEXT = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=4096))


def line(writer: int, number: int) -> bytes:
    start = (writer * 977 + number * 31) % 3900
    length = 50 + (number * 7919 + writer) % 90
    return f"{number} {_TEXT[start : start + length]}\n".encode()


def blocks(writer: int, start: int, stop: int):
    """The lines from `start` up to `stop`, in blocks that mostly end inside a line."""
    sizes = random.Random(writer)
    held = bytearray()
    for first in range(start, stop, 1000):
        held += b"".join([line(writer, n) for n in range(first, min(first + 1000, stop))])
        at = 0
        while len(held) - at > 20_000:
            size = sizes.choice((1, 17, 100, 4096, 9999, 20_000))
            yield held[at : at + size]
            at += size
        del held[:at]
    yield held
