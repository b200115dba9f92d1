"""The board on which the processes of one life record their in-flight requests or tasks.

Each process has a row, which only that process writes. If the supervisor has to know how busy they
are, the board is a file that it reads; the life finds its path in the environment.
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
# The cells of a row are doubles: the pid, the number of requests in flight, when the oldest of them
# began, the total of the seconds for which requests were in flight, and up to when that is counted.
# The total belongs to the row: a process that takes over the row of an exited one adds to it.
ROW = 5
# One cell before the rows: the time of the last report.
CELLS = 1 + ROW * SLOTS
SIZE = 8 * CELLS

# Higher values are nonsense: a pid is a C int, and no count of requests or seconds reaches MOST.
LAST_PID, MOST = 2**31, 1e15

Row = Sequence[float]


def create(path: str) -> None:
    """Create an empty board. Raises OSError."""
    # A life may change its user, so any process that knows the path may write.
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(file, 0o666)
        os.ftruncate(file, SIZE)
    finally:
        os.close(file)


def mapped(path: str) -> Any:
    """Map a board into memory. Raises OSError or ValueError."""
    import mmap  # Most lives have no such file, and the supervisor maps none.

    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(file, SIZE)
    finally:
        os.close(file)


def rows(cells: Sequence[float]) -> Iterator[Row]:
    """The rows that have been written."""
    for at in range(1, CELLS, ROW):
        if cells[at]:
            yield cells[at : at + ROW]


def busy_seconds(path: str) -> float:
    """The total of the seconds for which requests were in flight, up to now.

    Raises OSError. A life may have written anything there: rows that make no sense are skipped.
    """
    with open(path, "rb", buffering=0) as file:
        content = file.read(SIZE).ljust(SIZE, b"\0")
    now, total = ticking.now(), 0.0
    for pid, number, _, seconds, until in rows(memoryview(content).cast("d").tolist()):
        if not (0 < pid < LAST_PID and 0 <= seconds < MOST and 0 <= number < MOST):
            continue
        total += seconds
        # A process may have been killed with requests in flight.
        if number and 0 <= until <= now and exists(int(pid)):
            total += number * (now - until)
    return total
