"""Locks of instances: each is held by a process that is forked for it and does nothing else.

The lock is a database connection or an open file, and the supervisor has neither. So the exit of
the process, for whatever reason, frees the lock. The process reports regularly that it holds the
lock. When the reports stop, the lock counts as lost:

    SILENT      after this time without a report, the life is asked to stop
    + 3 s       a life that has not stopped is killed (`supervisor.instance.STOP_WITHOUT_LOCK`)
    + 1 s       the earliest moment at which a database that can no longer reach the holder gives
                the lock to another supervisor (`launch.locks.LEASE`)
"""

from __future__ import annotations

from functools import partial
from signal import SIGUSR1

from django_prodserver.supervisor.events import LockBusy, LockLost, LockTaken, LockUsed
from django_prodserver.supervisor.hints import Callable, Optional
from django_prodserver.supervisor.spec import process_of

from .errands import ErrandRun, Errands
from .loop import Loop
from .program import Program

# The task of the errands, and the words that they report, one on each line. "cannot" and "busy"
# are followed by a reason.
TASK = "lock"
HELD, BUSY, CANNOT, USED = b"held", b"busy", b"cannot", b"used"
# Tells the process that the work under the lock is done; it tells other supervisors, and exits.
DONE = SIGUSR1

# In seconds: how long after its last report a lock still counts as held, how long a process may say
# nothing until it counts as stuck and is replaced, and the pause before a failed one is replaced.
SILENT, STUCK, RETRY_AFTER = 4.0, 20.0, 1.0
# How long a process may keep telling other supervisors that the work is done, in seconds.
ANNOUNCE_TIMEOUT = 30.0
# The time limit of the errands, which in effect have none.
NO_LIMIT = 10.0**9


class _Lock:
    """The lock of one instance, from the moment it is requested."""

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.errand: Optional[ErrandRun] = None
        # When its process is to be started or restarted; None while there is one.
        self.begin_at: Optional[float] = now
        self.held = False
        # When the process last reported anything, and last reported that it holds the lock.
        self.reported_at = self.held_at = now
        # Why the process cannot tell whether it holds the lock.
        self.trouble = ""
        self.line = b""

    @property
    def deadline(self) -> float:
        if self.begin_at is not None:
            return self.begin_at
        stuck = self.reported_at + STUCK
        return min(stuck, self.held_at + SILENT) if self.held else stuck


class Locks:
    """The locks of all instances of a supervisor, by instance name."""

    def __init__(self, program_of: Callable[[str], Program], errands: Errands, loop: Loop) -> None:
        self._program_of = program_of
        self._errands = errands
        self._loop = loop
        self._locks: dict[str, _Lock] = {}
        # Processes that tell other supervisors that the work is done.
        self._announcing: dict[str, ErrandRun] = {}

    def take(self, name: str) -> None:
        """Request a lock and wait for it as long as it takes; events report what happens."""
        announcing = self._announcing.pop(name, None)
        if announcing is not None:
            self._errands.end(announcing)
        self._locks[name] = _Lock(name, self._loop.clock.now())

    def release(self, name: str, done: bool) -> None:
        """Release a lock, or cancel the request for it; no more events of it follow."""
        lock = self._locks.pop(name, None)
        if lock is None or lock.errand is None:
            return
        if done and lock.held:
            self._errands.send(lock.errand, DONE)
            self._errands.leave(lock.errand, ANNOUNCE_TIMEOUT)
            self._announcing[name] = lock.errand
        else:
            self._errands.end(lock.errand)

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` is due next, in the clock of the loop."""
        return min((lock.deadline for lock in self._locks.values()), default=None)

    def tick(self) -> None:
        if not self._locks:
            return
        now = self._loop.clock.now()
        for lock in [one for one in self._locks.values() if one.deadline <= now]:
            if lock.begin_at is not None:
                self._begin(lock, now)
            elif lock.held and lock.held_at + SILENT <= now:
                self._lose(lock, lock.trouble or f"no report for {SILENT:g} s")
            else:
                assert lock.errand is not None
                self._errands.end(lock.errand)
                self._begin(lock, now)

    def _begin(self, lock: _Lock, now: float) -> None:
        lock.begin_at, lock.line, lock.reported_at = None, b"", now
        program = self._program_of(lock.name)
        process = process_of(lock.name)
        request = {"process": process, "lock": program.lock, "work": program.work}
        callbacks = partial(self._ended, lock), partial(self._read, lock)
        lock.errand = self._errands.run(TASK, request, NO_LIMIT, *callbacks)

    def _read(self, lock: _Lock, chunk: bytes) -> None:
        *lines, lock.line = (lock.line + chunk).split(b"\n")
        for line in lines:
            if self._locks.get(lock.name) is lock:
                self._handle_report(lock, *line.partition(b" ")[::2])

    def _handle_report(self, lock: _Lock, word: bytes, rest: bytes) -> None:
        lock.reported_at = self._loop.clock.now()
        why = rest.decode(errors="replace")
        lock.trouble = why if word == CANNOT else ""
        if word == HELD:
            lock.held_at = lock.reported_at
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
        what = f"the lock process failed: {why or 'it exited'}"
        if lock.held:
            self._lose(lock, what)
        else:
            self._loop.emit(LockBusy(lock.name, what))
        lock.errand, lock.begin_at = None, self._loop.clock.now() + RETRY_AFTER
