"""The supervisor's operating system: one poll, its children, their pipes.

No threads and no asyncio: a fork copies one thread and every lock, and a child that leaves an
event loop by SystemExit takes the parent's with it. poll and not epoll: an epoll object is shared
with forked children, who would silence the parent by closing a descriptor.
"""

from __future__ import annotations

import os
import selectors
import sys
import time
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from signal import Signals
from types import TracebackType
from typing import TYPE_CHECKING, Optional

from django_prodserver.supervisor.lines import MAX_LINE, TextFormat
from django_prodserver.supervisor.model import (
    Exited,
    ExitStatus,
    GroupGone,
    Happening,
    OutputGone,
    Ready,
    Signalled,
)

from . import child, kernel
from .child import Program
from .notify import READY, NotifySocket
from .output import Output
from .signals import SignalPipe
from .streams import Stream, Streams

if TYPE_CHECKING:
    import psutil

# How long a reader that stalls may hold up the end, in seconds.
LAST_FLUSH = 5.0


@dataclass(eq=False)
class _Child:
    stream: Stream
    notify: Optional[NotifySocket]


class PosixSystem:
    """Implements `supervisor.system.System`; to be used as a context manager, in the main thread.

    Ends with nothing left: whatever descends from this process is SIGKILLed when it is closed.
    """

    def __init__(
        self,
        programs: Iterable[Program],
        format: TextFormat,
        signals: Iterable[Signals],
        max_line: int = MAX_LINE,
    ) -> None:
        self._programs: Mapping[str, Program] = {program.name: program for program in programs}
        self._children: dict[int, _Child] = {}
        # Leaders that are dead and reaped while others of their process group may live.
        self._orphaned: set[int] = set()
        self._happened: list[Happening] = []
        self._selector = selectors.PollSelector()
        # Children that this process had before, such as what an entry script pipes its log into.
        self._not_ours = _children()
        self._output = Output()
        self._told_gone = False
        self._streams = Streams(self._selector, self._output, format, max_line)
        self._signals = SignalPipe(signals)
        self._selector.register(self._signals, selectors.EVENT_READ, self._take_signals)
        kernel.adopt_orphans()

    def __enter__(self) -> PosixSystem:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    # ---- the seam ----

    def now(self) -> float:
        return time.monotonic()

    def say(self, text: str) -> None:
        self._streams.log(TextFormat.SYSTEM, text.encode(errors="replace") + b"\n")

    def spawn(self, name: str) -> int:
        program = self._programs[name]
        notify = NotifySocket() if program.notifies else None
        stream, write = self._streams.create(name)
        created = _Child(stream, notify)
        parent = os.getpid()
        self._signals.block()  # One that arrives between here and there is obeyed after.
        try:
            pid = _fork()
            if pid == 0:
                address = notify.address if notify else None
                child.become(program, parent, write, address, lambda: self._release(created))
        except OSError:
            os.close(stream.fd)
            if notify is not None:
                notify.close()
            raise
        finally:
            self._signals.unblock()
            os.close(write)
        self._children[pid] = created
        self._streams.add(stream)
        if notify is not None:
            self._selector.register(notify, selectors.EVENT_READ, lambda: self._notified(pid))
        return pid

    def kill(self, pid: int, signal: Signals, group: bool) -> None:
        # Never a pid that was reaped meanwhile, two having ended at once: it may be another's.
        # PermissionError: it runs as another user by now, and will have to be ended by that one.
        with suppress(PermissionError):
            if group and (pid in self._children or pid in self._orphaned):
                self._kill_group(pid, signal)
            elif pid in self._children:
                os.kill(pid, signal)

    def wait(self, timeout: Optional[float]) -> list[Happening]:
        end = None if timeout is None else self.now() + timeout
        self._before_sleep()
        while not self._happened and (end is None or self.now() < end):
            for key, _ in self._selector.select(None if end is None else end - self.now()):
                key.data()
            self._before_sleep()
        happened, self._happened = self._happened, []
        return happened

    def _kill_group(self, pid: int, signal: Signals) -> None:
        try:
            os.killpg(pid, signal)
        except ProcessLookupError:
            if pid in self._children:
                os.kill(pid, signal)  # Forked this moment, it has no group of its own yet.
            else:
                self._sweep()

    # ---- what happens ----

    def _before_sleep(self) -> None:
        self._streams.regulate()
        if self._output.gone and not self._told_gone:
            self._told_gone = True
            self._happened.append(OutputGone())

    def _take_signals(self) -> None:
        signals = self._signals.drain()
        self._happened += [Signalled(s) for s in signals if s is not Signals.SIGCHLD]
        if Signals.SIGCHLD in signals:
            self._reap()

    def _notified(self, pid: int) -> None:
        instance = self._children.get(pid)
        if instance and instance.notify and READY in instance.notify.receive(session=pid):
            self._happened.append(Ready(pid))

    def _reap(self) -> None:
        """Collect every dead child, the orphans that were adopted among them."""
        for pid, status in _reaped():
            if pid in self._children:
                self._bury(pid, status)
        self._sweep()

    def _bury(self, pid: int, status: ExitStatus) -> None:
        self._notified(pid)
        dead = self._children.pop(pid)
        if dead.notify is not None:
            self._selector.unregister(dead.notify)
            dead.notify.close()
        self._streams.read_last_words(dead.stream)
        self._orphaned.add(pid)
        self._happened.append(Exited(pid, status))

    def _sweep(self) -> None:
        """Report the groups of dead leaders in which nobody is left."""
        for pid in list(self._orphaned):
            try:
                with suppress(PermissionError):  # Somebody of another user's is there.
                    os.killpg(pid, 0)
            except ProcessLookupError:
                self._orphaned.discard(pid)
                self._happened.append(GroupGone(pid))

    # ---- the end ----

    def _release(self, created: _Child) -> None:
        """In a forked child: give back what belongs to the supervisor."""
        self._signals.reset_in_child()
        self._streams.release()
        os.close(created.stream.fd)
        for instance in [created, *self._children.values()]:
            if instance.notify is not None:
                instance.notify.release()

    def close(self) -> None:
        left_behind = _kill_descendants(self._not_ours)
        if left_behind:
            self.say(f"killed what was left behind: {', '.join(left_behind)}")
        for instance in self._children.values():
            if instance.notify is not None:
                instance.notify.close()
        self._streams.close()
        self._selector.close()
        self._write_the_rest()
        self._signals.close()
        kernel.adopt_orphans(False)

    def _write_the_rest(self) -> None:
        """Wait a moment for a reader that stalls; then say on stderr what it will never read."""
        end = self.now() + LAST_FLUSH
        with selectors.PollSelector() as selector:
            selector.register(self._output, selectors.EVENT_WRITE)
            selector.register(self._signals, selectors.EVENT_READ)
            while self._output.pending and self.now() < end:
                selector.select(end - self.now())
                self._output.flush()
                if any(s is not Signals.SIGCHLD for s in self._signals.drain()):
                    break
        gone = self._output.gone
        self._output.close()
        if self._output.lost and not gone:
            text = (
                f"prodserver: {self._output.lost} bytes of output were lost: stdout took no more\n"
            )
            stderr = Output(2)  # It may be the same pipe, and stall likewise.
            stderr.write(text.encode())
            stderr.close()


def _fork() -> int:
    for stream in (sys.stdout, sys.stderr):
        # What is buffered would be printed by both.
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    with warnings.catch_warnings():
        # Python 3.12 warns where threads run; the log has said so already, and better.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _reaped() -> Iterator[tuple[int, ExitStatus]]:
    """Reap every child that is dead by now."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            yield pid, ExitStatus(code=code) if code >= 0 else ExitStatus(signal=-code)


def _kill_descendants(spared: Collection[int]) -> list[str]:
    """SIGKILL and reap whatever descends from this process, but for these children and theirs.

    Returns what it was.
    """
    spared = set(spared)
    killed: dict[int, str] = {}
    while strays := _children() - spared:
        import psutil  # Seldom needed, and 10 ms of every start if imported before.

        for pid in strays:
            with suppress(psutil.NoSuchProcess):
                child = psutil.Process(pid)
                for process in [*child.children(recursive=True), child]:
                    with suppress(psutil.NoSuchProcess):
                        killed.setdefault(process.pid, f"{process.name()} (pid {process.pid})")
                        _kill(process, spared)
        for pid in strays - spared:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
    return list(killed.values())


def _kill(process: psutil.Process, spared: set[int]) -> None:
    import psutil

    try:
        process.kill()
    except psutil.AccessDenied:
        spared.add(process.pid)  # It runs as another user by now.


def _children() -> set[int]:
    """The pids of this process's children, the dead ones among them not reaped."""
    try:
        if hasattr(os, "waitid"):  # Seldom there are any, and to look for them takes longer.
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    import psutil

    return {child.pid for child in psutil.Process().children()}
