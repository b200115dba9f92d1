"""What the processes of one life have in flight, on a board that they share.

Each has a row there, which it alone writes. Where the supervisor wants to know how busy they are,
the board is a file that it reads: the life finds its path in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from django_prodserver.supervisor.hints import Any

from . import ticking
from .process_table import exists as exists

VARIABLE = "PRODSERVER_BOARD"
# How many processes a board has room for.
SLOTS = 509
# The cells of a row are doubles: a pid, how much it has in flight, since when it has the oldest,
# the sum of the seconds for which all that was in flight here, and up to when that is counted. The
# sum is that of the row: a process that takes over the row of one that has ended adds to it.
ROW = 5
# Before the rows: when something was told.
CELLS = 1 + ROW * SLOTS
SIZE = 8 * CELLS

# A pid is an int of C; and more than this is neither a number of requests nor of seconds.
LAST_PID, MOST = 2**31, 1e15

Row = Sequence[float]


def create(path: str) -> None:
    """An empty one. Raises OSError."""
    # A life may change its user: any process that knows the name may write.
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(file, 0o666)
        os.ftruncate(file, SIZE)
    finally:
        os.close(file)


def mapped(path: str) -> Any:
    """The memory of one. Raises OSError or ValueError."""
    import mmap  # Most lives have no such file, and the supervisor maps none.

    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(file, SIZE)
    finally:
        os.close(file)


def rows(cells: Sequence[float]) -> Iterator[Row]:
    """Those that somebody has written."""
    for at in range(1, CELLS, ROW):
        if cells[at]:
            yield cells[at : at + ROW]


def busy_seconds(path: str) -> float:
    """How long everything has been in flight there, summed up to now.

    Raises OSError. A life may have written anything there: what makes no sense is left out.
    """
    with open(path, "rb", buffering=0) as file:
        content = file.read(SIZE).ljust(SIZE, b"\0")
    now, total = ticking.now(), 0.0
    for pid, number, _, seconds, until in rows(memoryview(content).cast("d").tolist()):
        if not (0 < pid < LAST_PID and 0 <= seconds < MOST and 0 <= number < MOST):
            continue
        total += seconds
        # One may have been killed in the middle of it.
        if number and 0 <= until <= now and exists(int(pid)):
            total += number * (now - until)
    return total
