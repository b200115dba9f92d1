"""What a stopping process still waits for (`2 tasks, oldest 14 s`), as STATUS of sd_notify(3).

The supervisor shows what arrives over NOTIFY_SOCKET while it waits. Nothing is sent before the
stop, and nothing at all without that variable.

    running = in_flight.Running()       # or a function that returns a `Count`
    in_flight.report_after_stop_signal("task", running.count)
    with running.one(): ...             # around each task
"""

from __future__ import annotations

import _thread
import os
import signal
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import RawArray
from typing import Any, Callable, NamedTuple, Optional

from django_prodserver.posix import board, notify, stop_signals, ticking

# In seconds: the minimum interval between messages. Less than the 1 s of `each_second`.
EVERY = 0.9


class Count(NamedTuple):
    """How much is in flight, and the age of the oldest in seconds, if known."""

    number: int
    oldest: Optional[float] = None


def text(noun: str, number: int, oldest: Optional[float] = None) -> str:
    """`2 tasks, oldest 14 s`, `1 request`, `no requests`."""
    if not number:
        return f"no {noun}s"
    counted = f"{number} {noun}{'' if number == 1 else 's'}"
    return counted if oldest is None else f"{counted}, oldest {max(0, int(oldest))} s"


def of_ages(ages: Iterable[float]) -> Count:
    known = list(ages)
    return Count(len(known), max(known, default=None))


def has_notify_socket() -> bool:
    return bool(os.environ.get(notify.VARIABLE))


def is_leader() -> bool:
    """Whether this is the life's first process, the leader of its session."""
    return os.getpid() == os.getsid(0)


def report_after_stop_signal(
    noun: str, count: Callable[[], Count], board: Optional[Board] = None
) -> None:
    """Report each second from the first stop signal on. Needs `stop_signals.count_as_one`.

    `count` is called in a separate thread.
    """
    if has_notify_socket():
        stop_signals.on_first_stop_signal(Reporter(noun, count, board).start_reporting)


class Reporter:
    """Reports how much is in flight: when it has changed, and at most about once a second.

    An event loop calls `report` as often as it likes; for other software `start_reporting` starts a
    thread. `address` defaults to the value of NOTIFY_SOCKET.
    """

    def __init__(
        self,
        noun: str,
        count: Callable[[], Count],
        board: Optional[Board] = None,
        now: Callable[[], float] = ticking.now,
        address: Optional[str] = None,
    ) -> None:
        self._noun = noun
        self._now = now
        self._count = count
        self._board = board
        self._address = os.environ.get(notify.VARIABLE, "") if address is None else address
        self._pid = os.getpid()
        self.is_reporting = False
        self._last_status = ""
        self._reported_at: Optional[float] = None

    def report(self) -> None:
        now = self._now()
        if self._reported_at is not None and now < self._reported_at + EVERY:
            return
        try:
            status = text(self._noun, *self._count())
        except RuntimeError:  # The counted collection changed meanwhile.
            return
        if status == self._last_status or (
            self._board is not None and not self._board.take_turn(now)
        ):
            return
        self._last_status, self._reported_at = status, now
        # A slow listener must not hold up the stop.
        notify.notify(f"STATUS={status}".encode(), self._address, wait=False)

    def start_reporting(self) -> None:
        """Report from a thread from now on, in this process but not in its forks.

        May be called again, and from a signal handler. It does not use the module `threading`,
        whose locks the main thread may hold at that moment.
        """
        if self.is_reporting or os.getpid() != self._pid or not self._address:
            return
        self.is_reporting = True
        # The main thread would not notice signals that the new thread receives.
        with stop_signals.blocked(signal.valid_signals()):
            _thread.start_new_thread(ticking.each_second, (self.report,))


class Running:
    """What is in flight in this process; also written to a board, if there is one."""

    def __init__(self, board: Optional[Board] = None) -> None:
        self._board = board
        # In the order in which they began.
        self._since: dict[object, float] = {}

    @contextmanager
    def one(self) -> Iterator[None]:
        key = object()
        self.began(key)
        try:
            yield
        finally:
            self.ended(key)

    def began(self, key: object) -> None:
        self._since[key] = ticking.now()
        self._note()

    def ended(self, key: object) -> None:
        """A key that has not begun is ignored."""
        self._since.pop(key, None)
        self._note()

    def count(self) -> Count:
        now = ticking.now()
        return of_ages(now - since for since in list(self._since.values()))

    def _note(self) -> None:
        if self._board is not None:
            since = list(self._since.values())
            self._board.write(len(since), since[0] if since else 0.0)


class Board:
    """What several processes of one life have in flight; any of them may report the total.

    Create it before they are started: a fork inherits it, and multiprocessing can send it to
    processes that it spawns. If the supervisor wants to know the load, this is the board that it
    reads.
    """

    def __init__(self) -> None:
        # Programs that the life starts must not use its board.
        path = os.environ.pop(board.VARIABLE, "")
        try:
            self._share(path or RawArray("d", board.CELLS))
        except OSError:
            self._share(RawArray("d", board.CELLS))

    def _share(self, memory: Any) -> None:
        """Use a file, given as its path, or memory that processes share already."""
        self._memory = memory
        held = board.mapped(memory) if isinstance(memory, str) else memory
        self._cells = memoryview(held).cast("B").cast("d")
        # The pid of the process that has looked for its row, and the index of the row.
        self._own = (0, 0)

    def __getstate__(self) -> Any:
        return self._memory

    def __setstate__(self, memory: Any) -> None:
        self._share(memory)

    def write(self, number: int, since: float) -> None:
        """Record what this process has in flight."""
        pid, now, cells = os.getpid(), ticking.now(), self._cells
        if self._own[0] != pid:
            self._own = (pid, self._place(pid))
        at = self._own[1]
        seconds = cells[at + 3]
        if cells[at] == pid:
            seconds += cells[at + 1] * (now - cells[at + 4])
        cells[at : at + board.ROW] = array("d", (pid, number, since, seconds, now))

    def count(self) -> Count:
        """The total of all processes that still exist: one may have been killed meanwhile."""
        rows = board.rows(self._cells)
        busy = [(n, since) for pid, n, since, *_ in rows if n and board.exists(int(pid))]
        if not busy:
            return Count(0)
        oldest = ticking.now() - min(since for _, since in busy)
        return Count(int(sum(n for n, _ in busy)), oldest)

    def take_turn(self, now: float) -> bool:
        """Whether it is time to report again: only one of the processes does."""
        if now < self._cells[0] + EVERY:
            return False
        self._cells[0] = now
        return True

    def _place(self, pid: int) -> int:
        """The index of a row that is free, or whose process has ended.

        Processes with neighbouring pids try different rows first.
        """
        slots = board.SLOTS
        places = [1 + board.ROW * ((pid + n) % slots) for n in range(slots)]
        owners = ((at, int(self._cells[at])) for at in places)
        return next((at for at, pid in owners if not pid or not board.exists(pid)), places[0])


def board_if_requested() -> Optional[Board]:
    """A board for a life that needs none itself, if the supervisor wants to know its load."""
    return Board() if os.environ.get(board.VARIABLE) else None
