"""Errands: tasks that need the project's code, each done by a process forked from a template.

The supervisor has none of that code: it names a task and sends plain data along. The answer comes
through a pipe. It ends when the process exits, not at end of file, because other processes may hold
the pipe open. Then everything that the process has started is killed.
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
from .child import Wiring, errand_name
from .log import Log
from .loop import Loop
from .orphans import Search
from .starting import Errand, Starter
from .streams import Stream

# The longest answer, and how much of it is read in one turn of the loop, in bytes.
LONGEST_ANSWER = 16 << 20
CHUNK = 1 << 18

# Called with the answer and "", or with None and the reason why there is no answer.
Done = Callable[[Optional[bytes], str], None]


class ErrandRun:
    """An errand, from its request until none of its processes is left.

    `on_chunk` gets the answer piece by piece as it arrives. Such an answer may be of any length.
    """

    def __init__(
        self,
        name: str,
        mark: str,
        within: float,
        deadline: float,
        done: Done,
        on_chunk: Optional[Callable[[bytes], None]] = None,
    ) -> None:
        self.name = name
        self.mark = mark
        self.within = within
        # When it times out, in the clock of the loop, and the reason that is given then.
        self.deadline = deadline
        self.why = f"it could not be started within {within:g} s"
        self.done = done
        self.on_chunk = on_chunk
        # The pending start; None once the starter has answered.
        self.errand: Optional[Errand] = None
        # 0 until the process is started.
        self.pid = 0
        # Its output, which goes to the log.
        self.streams: Sequence[Stream] = ()
        # The pipe from which the answer is read, until its end, and what has been read so far.
        self.answer: Optional[int] = None
        self.received = bytearray()
        self.orphans = Search(mark)


class Errands:
    """All errands of a supervisor; their marks begin with that of its `run`.

    An errand waits until a template is ready for it, or until it times out. `children` returns the
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
        # Errands whose `done` has not been called yet, in order.
        self._awaited: dict[ErrandRun, None] = {}
        # By pid: until the process is reaped, and from then until none of its processes is left.
        self._running: dict[int, ErrandRun] = {}
        self._exited: dict[int, ErrandRun] = {}

    def run(
        self,
        task: str,
        request: Any,
        within: float,
        done: Done,
        on_chunk: Optional[Callable[[bytes], None]] = None,
    ) -> ErrandRun:
        """Have a task done `within` so many seconds, counted from now and not from its start.

        `done` is called once, by the loop: with the answer and "", or with None and the reason why
        there is no answer. Raises ValueError for a request that is not plain data.
        """
        packed = marshal.dumps(request)
        self._count += 1
        mark, deadline = marks.of_errand(self._run, self._count), self._loop.clock.now() + within
        one = ErrandRun(errand_name(task), mark, within, deadline, done, on_chunk)
        self._awaited[one] = None
        try:
            one.errand = self._create(one, task, packed)
            self._starter.run(one.errand)
        except OSError as error:
            self._begun(one, str(error))
        return one

    def send(self, one: ErrandRun, signal: Signals) -> None:
        """Send a signal to the errand's process, if it is running."""
        if self._running.get(one.pid) is one:
            os.kill(one.pid, signal)

    def end(self, one: ErrandRun) -> None:
        """Kill an errand, or cancel its start; no more callbacks follow."""
        if one in self._awaited:
            one.done, one.on_chunk = _ignore, None
            self._give_up(one, "")

    def leave(self, one: ErrandRun, within: float) -> None:
        """Let an errand run for so many more seconds, without callbacks."""
        if one in self._awaited:
            one.done, one.on_chunk = _ignore, None
            one.deadline = self._loop.clock.now() + within

    # ---- queries ----

    @property
    def pids(self) -> set[int]:
        """The pids of the errand processes that are not reaped."""
        return {*self._running}

    @property
    def groups(self) -> set[int]:
        """The process groups of errands that may have processes left."""
        return self._running.keys() | self._exited.keys()

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` is due next, in the clock of the loop."""
        return min((one.deadline for one in self._awaited), default=None)

    # ---- events ----

    def tick(self) -> None:
        """Give up errands that have timed out."""
        if self._awaited:
            now = self._loop.clock.now()
            for one in [one for one in self._awaited if one.deadline <= now]:
                self._give_up(one, one.why)

    def reaped(self, pid: int, status: ExitStatus) -> bool:
        """Record the exit of a process; False if it is not an errand's."""
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
                self._finish(one, bytes(one.received), "")
            else:
                self._finish(one, None, f"it {report.exit_status(status)}")
        return True

    def sweep(self) -> None:
        """Forget errands that have no processes left. Call it after a process was reaped."""
        for pid, one in list(self._exited.items()):
            if groups.is_empty(pid) and one.orphans.is_over(self._children()):
                if one.orphans.killed:
                    # Not logged as an event: event handlers are errands too, so it would never end.
                    self._log.mention(report.killed_orphans(one.name, one.orphans.killed))
                del self._exited[pid]
                self._starter.forget(pid)

    # ---- shutdown ----

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        for one in self._awaited:
            if one.answer is not None:
                os.close(one.answer)

    def close(self) -> None:
        """Give up all errands. The killed processes have yet to be reaped."""
        for one in list(self._awaited):
            self._give_up(one, "the supervisor is stopping")

    # ---- internals ----

    def _create(self, one: ErrandRun, task: str, request: bytes) -> Errand:
        """Create the pipes of an errand. Closes all of them if it raises OSError."""
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
        wiring = Wiring(pipes.stdout, pipes.stderr, one.mark)
        return Errand(task, request, wiring, answer, partial(self._begun, one))

    def _begun(self, one: ErrandRun, answer: Union[int, str]) -> None:
        _close_theirs(one)
        if isinstance(answer, str):
            # `done` is called by the next tick: the caller of `run` may not be ready for it yet.
            one.why, one.deadline = answer, 0.0
            return
        one.pid, one.why = answer, f"it took longer than {one.within:g} s"
        self._running[answer] = one
        self._starter.watch(answer)

    def _read(self, one: ErrandRun) -> int:
        """Read once; return the number of bytes: 0 at the end, or if nothing can be read now."""
        if one.answer is None:  # Given up in the same turn of the loop.
            return 0
        try:
            chunk = os.read(one.answer, CHUNK)
        except BlockingIOError:
            return 0
        if one.on_chunk is not None:
            one.on_chunk(chunk)
        else:
            one.received += chunk
        if not chunk:
            self._hang_up(one)
        elif len(one.received) > LONGEST_ANSWER:
            self._give_up(one, f"its answer is longer than {LONGEST_ANSWER >> 20} MiB")
        return len(chunk)

    def _read_the_rest(self, one: ErrandRun) -> None:
        """Read what is in the pipe now: processes that hold it may write to it for ever."""
        left = 0 if one.answer is None else kernel.pipe_size(one.answer)
        while left > 0 and (size := self._read(one)):
            left -= size

    def _give_up(self, one: ErrandRun, why: str) -> None:
        if one.errand is not None:
            self._starter.cancel(one.errand)
            _close_theirs(one)
        elif one.pid and not groups.kill(one.pid):
            # Just forked: it has no process group of its own yet.
            os.kill(one.pid, SIGKILL)
        self._finish(one, None, why)

    def _finish(self, one: ErrandRun, answer: Optional[bytes], why: str) -> None:
        del self._awaited[one]
        self._hang_up(one)
        one.received.clear()
        one.done(answer, why)

    def _hang_up(self, one: ErrandRun) -> None:
        """Stop reading the answer."""
        if one.answer is not None:
            self._loop.selector.unregister(one.answer)
            os.close(one.answer)
            one.answer = None


def _ignore(answer: Optional[bytes], why: str) -> None:
    """The `done` of an errand whose answer is no longer wanted."""


def _close_theirs(one: ErrandRun) -> None:
    errand, one.errand = one.errand, None
    if errand is not None:
        for fd in {errand.wiring.stdout, errand.wiring.stderr, errand.answer}:
            os.close(fd)
