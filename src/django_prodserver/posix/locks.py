"""Locks of instances: each is held by a process that is forked for that, and does nothing else.

Its end, however it comes, frees the lock: that is a connection to a database, or an open file, and
the supervisor has neither. It reports again and again that it holds the lock. From when it does
not, the lock counts as lost:

    SILENT      it has not reported for so long, and the life is asked to stop
    + 3 s       what has not stopped is killed (`supervisor.instance.STOP_WITHOUT_LOCK`)
    + 1 s       the earliest moment at which a database gives the lock to somebody else, because it
                cannot reach whoever had it (`launch.locks.LEASE`)
"""

from __future__ import annotations

from functools import partial
from signal import SIGUSR1

from django_prodserver.supervisor.events import LockBusy, LockLost, LockTaken, LockUsed
from django_prodserver.supervisor.hints import Callable, Optional
from django_prodserver.supervisor.spec import process_of

from .errands import Errands, Underway
from .loop import Loop
from .program import Program

# The task of the errands, and the words that they report, each a line. "cannot" and "busy" are
# followed by why.
TASK = "lock"
HELD, BUSY, CANNOT, USED = b"held", b"busy", b"cannot", b"used"
# Tells the process that what the lock was for is done; it tells others, and ends.
DONE = SIGUSR1

# In seconds: how long without a report a lock is still held, how long until another process takes
# the place of one that is stuck, and the pause before it is begun after one has failed.
SILENT, STUCK, AGAIN = 4.0, 20.0, 1.0
# How long a process may exist that tells others that the work is done.
TELLS_WITHIN = 30.0
# They have no other limit.
FOREVER = 10.0**9


class _Lock:
    """The lock of one instance, from the moment that it is asked for."""

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.errand: Optional[Underway] = None
        # When its process is begun, or begun again.
        self.begin_at: Optional[float] = now
        self.held = False
        # When it last reported anything, and that it holds the lock.
        self.heard_at = self.held_at = now
        # Why it cannot tell whether it does.
        self.trouble = ""
        self.line = b""

    @property
    def deadline(self) -> float:
        if self.begin_at is not None:
            return self.begin_at
        stuck = self.heard_at + STUCK
        return min(stuck, self.held_at + SILENT) if self.held else stuck


class Locks:
    """The locks of all instances of a supervisor, by their names."""

    def __init__(self, program_of: Callable[[str], Program], errands: Errands, loop: Loop) -> None:
        self._program_of = program_of
        self._errands = errands
        self._loop = loop
        self._locks: dict[str, _Lock] = {}
        # Processes that tell others that the work is done.
        self._telling: dict[str, Underway] = {}

    def take(self, name: str) -> None:
        """Take it, however long that takes; events tell what becomes of that."""
        telling = self._telling.pop(name, None)
        if telling is not None:
            self._errands.end(telling)
        self._locks[name] = _Lock(name, self._loop.clock.now())

    def release(self, name: str, done: bool) -> None:
        """Release it, or take it no more; no events of it follow."""
        lock = self._locks.pop(name, None)
        if lock is None or lock.errand is None:
            return
        if done and lock.held:
            self._errands.send(lock.errand, DONE)
            self._errands.leave(lock.errand, TELLS_WITHIN)
            self._telling[name] = lock.errand
        else:
            self._errands.end(lock.errand)

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` has something to do, in the clock of the loop."""
        return min((lock.deadline for lock in self._locks.values()), default=None)

    def tick(self) -> None:
        if not self._locks:
            return
        now = self._loop.clock.now()
        for lock in [one for one in self._locks.values() if one.deadline <= now]:
            if lock.begin_at is not None:
                self._begin(lock, now)
            elif lock.held and lock.held_at + SILENT <= now:
                self._lose(lock, lock.trouble or f"nothing was heard of it for {SILENT:g} s")
            else:
                assert lock.errand is not None
                self._errands.end(lock.errand)
                self._begin(lock, now)

    def _begin(self, lock: _Lock, now: float) -> None:
        lock.begin_at, lock.line, lock.heard_at = None, b"", now
        program = self._program_of(lock.name)
        process = process_of(lock.name)
        request = {"process": process, "lock": program.lock, "work": program.work}
        told = partial(self._ended, lock), partial(self._hear, lock)
        lock.errand = self._errands.run(TASK, request, FOREVER, *told)

    def _hear(self, lock: _Lock, chunk: bytes) -> None:
        *lines, lock.line = (lock.line + chunk).split(b"\n")
        for line in lines:
            if self._locks.get(lock.name) is lock:
                self._take_note(lock, *line.partition(b" ")[::2])

    def _take_note(self, lock: _Lock, word: bytes, rest: bytes) -> None:
        lock.heard_at = self._loop.clock.now()
        why = rest.decode(errors="replace")
        lock.trouble = why if word == CANNOT else ""
        if word == HELD:
            lock.held_at = lock.heard_at
            if not lock.held:
                lock.held = True
                self._loop.emit(LockTaken(lock.name))
        elif word == USED:
            del self._locks[lock.name]
            self._loop.emit(LockUsed(lock.name))
        elif word == BUSY and lock.held:
            self._lose(lock, why)
        elif word in (BUSY, CANNOT) and not lock.held:
            self._loop.emit(LockBusy(lock.name, why))

    def _lose(self, lock: _Lock, why: str) -> None:
        lock.held = False
        self._loop.emit(LockLost(lock.name, why))

    def _ended(self, lock: _Lock, answer: Optional[bytes], why: str) -> None:
        if self._locks.get(lock.name) is not lock:
            return
        what = f"the process that is to hold it failed: {why or 'it ended'}"
        if lock.held:
            self._lose(lock, what)
        else:
            self._loop.emit(LockBusy(lock.name, what))
        lock.errand, lock.begin_at = None, self._loop.clock.now() + AGAIN
