"""Errands: what needs the project's code is done by a process forked from a template, like a life.

The supervisor has none of that code: it names a task, and sends plain data along. The answer comes
by a pipe, and the exit of the process ends it, because others may hold the pipe. Whatever the
process has started is killed then.
"""

from __future__ import annotations

import marshal
import os
import selectors
from collections.abc import Sequence
from functools import partial
from signal import SIGKILL, Signals

from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.hints import Any, Callable, Optional, Union

from . import groups, kernel, marks
from .child import Ties, errand_name
from .log import Log
from .loop import Loop
from .orphans import Search
from .starting import Errand, Starter
from .streams import Stream

# The longest answer, and how much of one is read in a turn of the loop, in bytes.
LONGEST_ANSWER = 16 << 20
CHUNK = 1 << 18

# Takes the answer; or None, and why there is none.
Done = Callable[[Optional[bytes], str], None]


class Underway:
    """An errand from its request until nothing is left of it.

    With `heard` its answer is given to that as it comes, and may take as long as it likes.
    """

    def __init__(
        self,
        name: str,
        mark: str,
        within: float,
        late_at: float,
        done: Done,
        heard: Optional[Callable[[bytes], None]] = None,
    ) -> None:
        self.name = name
        self.mark = mark
        self.within = within
        # When it is given up, in the clock of the loop, and what is said then.
        self.late_at = late_at
        self.why = f"it could not be started within {within:g} s"
        self.done = done
        self.heard = heard
        # As long as it is not begun.
        self.errand: Optional[Errand] = None
        # 0 until then.
        self.pid = 0
        # What connects it to the log.
        self.streams: Sequence[Stream] = ()
        # Where the answer comes from, up to its end; and what has come.
        self.answer: Optional[int] = None
        self.said = bytearray()
        self.orphans = Search(mark)


class Errands:
    """All errands of a supervisor, with marks of its `run`.

    One that no template is ready for waits until one is, or until it is late. `children` has the
    pids of all known children of this process.
    """

    def __init__(
        self, starter: Starter, loop: Loop, log: Log, run: str, children: Callable[[], set[int]]
    ) -> None:
        self._starter = starter
        self._loop = loop
        self._log = log
        self._run = run
        self._children = children
        self._count = 0
        # Until `done` is called, in order.
        self._awaited: dict[Underway, None] = {}
        # By their pids, until they are reaped, and from then on.
        self._running: dict[int, Underway] = {}
        self._exited: dict[int, Underway] = {}

    def run(
        self,
        task: str,
        request: Any,
        within: float,
        done: Done,
        heard: Optional[Callable[[bytes], None]] = None,
    ) -> Underway:
        """Have a task done within so many seconds: from now on, not from its start.

        `done` is called once, by the loop: with the answer and "", or with None and why there is
        none. Raises ValueError for a request that is not plain data.
        """
        packed = marshal.dumps(request)
        self._count += 1
        mark, late_at = marks.of_errand(self._run, self._count), self._loop.clock.now() + within
        one = Underway(errand_name(task), mark, within, late_at, done, heard)
        self._awaited[one] = None
        try:
            one.errand = self._create(one, task, packed)
            self._starter.run(one.errand)
        except OSError as error:
            self._begun(one, str(error))
        return one

    def send(self, one: Underway, signal: Signals) -> None:
        """Send a signal to the process that does it, if there is one."""
        if self._running.get(one.pid) is one:
            os.kill(one.pid, signal)

    def end(self, one: Underway) -> None:
        """Kill it, or let it not begin; nothing of it is heard any more."""
        if one in self._awaited:
            one.done, one.heard = _ignore, None
            self._give_up(one, "")

    def leave(self, one: Underway, within: float) -> None:
        """Let it go on for so many seconds, while nobody waits for it."""
        if one in self._awaited:
            one.done, one.heard = _ignore, None
            one.late_at = self._loop.clock.now() + within

    # ---- what is known ----

    @property
    def pids(self) -> set[int]:
        """Of those that are not reaped."""
        return {*self._running}

    @property
    def groups(self) -> set[int]:
        """Their process groups, which may not be empty."""
        return self._running.keys() | self._exited.keys()

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` has something to do, in the clock of the loop."""
        return min((one.late_at for one in self._awaited), default=None)

    # ---- what happens ----

    def tick(self) -> None:
        """Give up those that are late."""
        if self._awaited:
            now = self._loop.clock.now()
            for one in [one for one in self._awaited if one.late_at <= now]:
                self._give_up(one, one.why)

    def reaped(self, pid: int, status: ExitStatus) -> bool:
        """Take note of the exit of a process; False if it was not one of these."""
        one = self._running.pop(pid, None)
        if one is None:
            return False
        self._exited[pid] = one
        self._log.read_last_words(one.streams)
        if one in self._awaited:
            self._read_the_rest(one)
        groups.kill(pid)
        if one in self._awaited:
            if status.code == 0:
                self._finish(one, bytes(one.said), "")
            else:
                self._finish(one, None, f"it {report.exit_status(status)}")
        return True

    def sweep(self) -> None:
        """Forget those of which nothing is left; to be called when a process was reaped."""
        for pid, one in list(self._exited.items()):
            if groups.is_empty(pid) and one.orphans.is_over(self._children()):
                if one.orphans.killed:
                    # No event: handlers of events are errands, and there would be no end of them.
                    self._log.mention(report.killed_orphans(one.name, one.orphans.killed))
                del self._exited[pid]
                self._starter.forget(pid)

    # ---- the end ----

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        for one in self._awaited:
            if one.answer is not None:
                os.close(one.answer)

    def close(self) -> None:
        """Give them all up; what is killed is still to be reaped."""
        for one in list(self._awaited):
            self._give_up(one, "the supervisor stops")

    # ---- how ----

    def _create(self, one: Underway, task: str, request: bytes) -> Errand:
        """Connect it to this process. Raises OSError, and leaves nothing open then."""
        pipes = self._log.create(one.name)
        try:
            one.answer, answer = os.pipe()
        except OSError:
            pipes.close_ours()
            pipes.close_theirs()
            raise
        one.streams = pipes.streams
        self._log.add(pipes.streams)
        os.set_blocking(one.answer, False)
        self._loop.selector.register(one.answer, selectors.EVENT_READ, partial(self._read, one))
        ties = Ties(pipes.stdout, pipes.stderr, one.mark)
        return Errand(task, request, ties, answer, partial(self._begun, one))

    def _begun(self, one: Underway, answer: Union[int, str]) -> None:
        _close_theirs(one)
        if isinstance(answer, str):
            # With the next tick: whoever has asked for it may not be ready to hear of it.
            one.why, one.late_at = answer, 0.0
            return
        one.pid, one.why = answer, f"it took longer than {one.within:g} s"
        self._running[answer] = one
        self._starter.watch(answer)

    def _read(self, one: Underway) -> int:
        """Read once; return how many bytes: 0 at the end of the answer, or for nothing there."""
        if one.answer is None:  # Given up in the same round of the poll.
            return 0
        try:
            chunk = os.read(one.answer, CHUNK)
        except BlockingIOError:
            return 0
        if one.heard is not None:
            one.heard(chunk)
        else:
            one.said += chunk
        if not chunk:
            self._hang_up(one)
        elif len(one.said) > LONGEST_ANSWER:
            self._give_up(one, f"its answer is longer than {LONGEST_ANSWER >> 20} MiB")
        return len(chunk)

    def _read_the_rest(self, one: Underway) -> None:
        """Read what it had written when it exited: others may go on writing."""
        left = 0 if one.answer is None else kernel.pipe_size(one.answer)
        while left > 0 and (size := self._read(one)):
            left -= size

    def _give_up(self, one: Underway, why: str) -> None:
        if one.errand is not None:
            self._starter.cancel(one.errand)
            _close_theirs(one)
        elif one.pid and not groups.kill(one.pid):
            # Forked this moment, it has no group of its own yet.
            os.kill(one.pid, SIGKILL)
        self._finish(one, None, why)

    def _finish(self, one: Underway, answer: Optional[bytes], why: str) -> None:
        del self._awaited[one]
        self._hang_up(one)
        one.said.clear()
        one.done(answer, why)

    def _hang_up(self, one: Underway) -> None:
        """Read no more of its answer."""
        if one.answer is not None:
            self._loop.selector.unregister(one.answer)
            os.close(one.answer)
            one.answer = None


def _ignore(answer: Optional[bytes], why: str) -> None:
    """Nobody waits for it any more."""


def _close_theirs(one: Underway) -> None:
    errand, one.errand = one.errand, None
    if errand is not None:
        for fd in {errand.ties.stdout, errand.ties.stderr, errand.answer}:
            os.close(fd)
