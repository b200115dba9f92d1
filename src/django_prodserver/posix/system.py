"""The supervisor's operating system: one poll, its children, their pipes.

No threads and no asyncio: a fork copies one thread and every lock, and a child that leaves an
event loop by SystemExit takes the parent's with it. poll and not epoll: an epoll object is shared
with forked children, who would silence the parent by closing a descriptor.
"""

from __future__ import annotations

import os
import random
import selectors
import sys
import time
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from signal import Signals
from types import TracebackType
from typing import TYPE_CHECKING, Callable, NoReturn, Optional

from django_prodserver.logs.formats import Format
from django_prodserver.logs.lines import MAX_LINE
from django_prodserver.supervisor.model import (
    Exited,
    ExitStatus,
    GroupGone,
    Happening,
    Measured,
    OutputGone,
    Probe,
    Probed,
    Signalled,
)

from . import child, groups, kernel, memory
from .child import Program
from .log import Log
from .notify import VARIABLE, NotifySocket, notify
from .probes import CommandProbe, Probes, Target, TcpProbe
from .signals import SignalPipe
from .streams import Stream

if TYPE_CHECKING:
    import psutil


@dataclass(eq=False)
class _Child:
    program: Program
    streams: Sequence[Stream]
    notify: Optional[NotifySocket] = None


class PosixSystem:
    """Implements `supervisor.system.System`; to be used as a context manager, in the main thread.

    Ends with nothing left: whatever descends from this process is SIGKILLed when it is closed.
    """

    def __init__(
        self,
        programs: Iterable[Program],
        formats: Mapping[str, Format],
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
        self._log = Log(self._selector, formats, max_line)
        self._told_gone = False
        self._signals = SignalPipe(signals)
        self._selector.register(self._signals, selectors.EVENT_READ, self._take_signals)
        self._probes = Probes(self._selector, self._execute, self._probed)
        self._supervised_at = os.environ.get(VARIABLE, "")
        self._shortage = memory.Shortage()
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
        self._log.say(text)

    def tell(self, message: str) -> None:
        notify(message.encode(errors="replace"), self._supervised_at, wait=False)

    def spawn(self, name: str) -> int:
        program = self._programs[name]
        pipes = self._log.create(name)
        created = _Child(program, pipes.streams)
        parent = os.getpid()

        def become() -> NoReturn:
            child.become(
                program,
                parent,
                pipes.stdout,
                pipes.stderr,
                created.notify.address if created.notify else None,
                release=lambda: self._release(created),
            )

        try:
            if program.notifies:
                created.notify = NotifySocket()
            pid = self._fork(become)
        except OSError:
            pipes.close_ours()
            if created.notify is not None:
                created.notify.close()
            raise
        finally:
            pipes.close_theirs()
        self._children[pid] = created
        self._log.add(pipes.streams)
        if created.notify is not None:
            socket = created.notify
            self._selector.register(socket, selectors.EVENT_READ, lambda: self._notified(pid))
        return pid

    def kill(self, pid: int, signal: Signals, group: bool) -> None:
        # Never a pid that was reaped meanwhile, two having ended at once: it may be another's.
        # PermissionError: it runs as another user by now, and will have to be ended by that one.
        with suppress(PermissionError):
            if group and (pid in self._children or pid in self._orphaned):
                self._kill_group(pid, signal)
            elif pid in self._children:
                os.kill(pid, signal)

    def start_probe(self, pid: int, probe: Probe) -> None:
        if pid not in self._children:
            return
        program = self._children[pid].program
        target: Optional[Target] = program.health
        if probe is Probe.READY:
            target = TcpProbe(program.name, program.serves)
        assert target is not None, f"{program.name} has no health check"
        self._probes.start(pid, target)

    def cancel_probe(self, pid: int) -> None:
        self._probes.cancel(pid)

    def measure(self, pid: int) -> None:
        if pid in self._children:
            found = memory.of_tree(pid)
            if found is not None:
                self._happened.append(Measured(pid, found))

    def wait(self, timeout: Optional[float]) -> list[Happening]:
        end = None if timeout is None else self.now() + timeout
        self._before_sleep()
        while not self._happened and (end is None or self.now() < end):
            for key, _ in self._selector.select(None if end is None else end - self.now()):
                key.data()
            self._before_sleep()
        happened, self._happened = self._happened, []
        return happened

    def _fork(self, become: Callable[[], NoReturn]) -> int:
        """Start a process that calls `become`, with its signals held back until it is ready."""
        self._signals.block()  # One that arrives between here and there is obeyed after.
        try:
            pid = _fork()
            if pid == 0:
                become()
            return pid
        finally:
            self._signals.unblock()

    def _execute(self, command: CommandProbe, output: int) -> int:
        parent = os.getpid()
        return self._fork(lambda: child.become_command(command, parent, output, self._release))

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
        self._log.regulate()
        if self._log.gone and not self._told_gone:
            self._told_gone = True
            self._happened.append(OutputGone())

    def _take_signals(self) -> None:
        signals = self._signals.drain()
        self._happened += [Signalled(s) for s in signals if s is not Signals.SIGCHLD]
        if Signals.SIGCHLD in signals:
            self._reap()

    def _notified(self, pid: int) -> None:
        instance = self._children.get(pid)
        if instance and instance.notify:
            self._happened += instance.notify.receive(session=pid)

    def _probed(self, pid: int, failure: str) -> None:
        self._happened.append(Probed(pid, failure))

    def _reap(self) -> None:
        """Collect every dead child, the orphans that were adopted among them."""
        for pid in self._children:
            self._notified(pid)  # While it can still be told whose child a sender was.
        dead = [entry for entry in _reaped() if not self._probes.reaped(*entry)]
        for pid, status in dead:
            if pid in self._children:
                self._bury(pid, status)
        self._sweep()
        self._probes.sweep()

    def _bury(self, pid: int, status: ExitStatus) -> None:
        self._probes.cancel(pid)
        self._notified(pid)
        dead = self._children.pop(pid)
        if dead.notify is not None:
            self._selector.unregister(dead.notify)
            dead.notify.close()
            if dead.notify.ignored:
                self._say_ignored(dead.program.name, dead.notify.ignored)
        self._log.read_last_words(dead.streams)
        self._orphaned.add(pid)
        out_of_memory = self._shortage.explains(status, self.now())
        self._happened.append(Exited(pid, status, out_of_memory, random.random()))

    def _say_ignored(self, name: str, count: int) -> None:
        messages = "1 message" if count == 1 else f"{count} messages"
        was = "was" if count == 1 else "were"
        self.say(f"{name}: {messages} to its notify socket {was} ignored")

    def _sweep(self) -> None:
        """Report the groups of dead leaders in which nobody is left."""
        gone = {pid for pid in self._orphaned if groups.is_empty(pid)}
        self._orphaned -= gone
        self._happened += map(GroupGone, gone)

    # ---- the end ----

    def _release(self, created: Optional[_Child] = None) -> None:
        """In a forked child: give back what belongs to the supervisor."""
        self._signals.reset_in_child()
        self._log.release()
        self._probes.release()
        if created is not None:
            for stream in created.streams:
                os.close(stream.fd)
        for instance in [created, *self._children.values()]:
            if instance is not None and instance.notify is not None:
                instance.notify.release()

    def close(self) -> None:
        self._probes.close()
        left_behind = _kill_descendants(self._not_ours, self._probes.killed)
        if left_behind:
            self.say(f"killed what was left behind: {', '.join(left_behind)}")
        for instance in self._children.values():
            if instance.notify is not None:
                instance.notify.close()
        self._log.close(self._signals)
        self._selector.close()
        self._signals.close()
        kernel.adopt_orphans(False)


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


def _kill_descendants(spared: Collection[int], known: Collection[int]) -> list[str]:
    """SIGKILL and reap whatever descends from this process, but for these children and theirs.

    Returns what it was, except for the process groups that are known.
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
                        if not _is_in(known, process.pid):
                            killed.setdefault(process.pid, f"{process.name()} (pid {process.pid})")
                        _kill(process, spared)
        for pid in strays - spared:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
    return list(killed.values())


def _is_in(groups: Collection[int], pid: int) -> bool:
    try:
        # Who was killed before it had a group of its own is known by its pid.
        return pid in groups or os.getpgid(pid) in groups
    except OSError:
        return False


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
