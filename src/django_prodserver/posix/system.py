"""The supervisor's operating system: one poll, its children, their pipes.

No threads and no asyncio: a fork copies one thread and every lock, and a child that leaves an
event loop by SystemExit takes the parent's with it. poll and not epoll: an epoll object is shared
with forked children, who would silence the parent by closing a descriptor.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import struct
import sys
import termios
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from signal import Signals
from types import TracebackType
from typing import Optional

from django_prodserver.supervisor.lines import MAX_LINE, Lines, TextFormat
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

# The most that is read from one pipe before another has its turn, in bytes.
CHUNK = 1 << 20
# How long a reader that stalls may hold up the end, in seconds.
LAST_FLUSH = 5.0


@dataclass(eq=False)
class _Stream:
    """The pipe behind an instance's stdout and stderr; it may outlive the instance."""

    name: str
    fd: int
    lines: Lines


@dataclass(eq=False)
class _Child:
    stream: _Stream
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
        self._format = format
        self._max_line = max_line
        self._children: dict[int, _Child] = {}
        self._streams: set[_Stream] = set()
        # Leaders that are dead and reaped while others of their process group live.
        self._orphaned: set[int] = set()
        self._happened: list[Happening] = []
        self._selector = selectors.PollSelector()
        self._reading = True
        self._writing = False
        self._told_gone = False
        _ensure_standard_descriptors()
        self._output = Output()
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
        self._log(TextFormat.SYSTEM, text.encode(errors="replace") + b"\n")

    def spawn(self, name: str) -> int:
        program = self._programs[name]
        read, write = os.pipe()
        os.set_blocking(read, False)
        notify = NotifySocket() if program.notifies else None
        created = _Child(_Stream(name, read, Lines(self._max_line)), notify)
        parent = os.getpid()
        self._signals.block()  # One that arrives between here and there is obeyed after.
        try:
            pid = _fork()
            if pid == 0:
                address = notify.address if notify else None
                child.become(program, parent, write, address, lambda: self._release(created))
        except OSError:
            _close(created)
            raise
        finally:
            self._signals.unblock()
            os.close(write)
        self._children[pid] = created
        self._streams.add(created.stream)
        if self._reading:
            self._watch(created.stream)
        if notify is not None:
            self._selector.register(notify, selectors.EVENT_READ, lambda: self._notified(pid))
        return pid

    def kill(self, pid: int, signal: Signals, group: bool) -> None:
        if group:
            try:
                os.killpg(pid, signal)
                return
            except ProcessLookupError:
                if pid not in self._children:
                    self._sweep()
                    return
                # A leader that was forked this moment has no group of its own yet.
        os.kill(pid, signal)

    def wait(self, timeout: Optional[float]) -> list[Happening]:
        end = None if timeout is None else self.now() + timeout
        self._regulate()
        while not self._happened and (end is None or self.now() < end):
            for key, _ in self._selector.select(None if end is None else end - self.now()):
                key.data()
            self._regulate()
        happened, self._happened = self._happened, []
        return happened

    # ---- lines ----

    def _log(self, name: str, block: bytes) -> None:
        if block:
            self._output.write(self._format.block(name, block, time.strftime("%H:%M:%S")))

    def _watch(self, stream: _Stream) -> None:
        self._selector.register(stream.fd, selectors.EVENT_READ, lambda: self._read(stream))

    def _read(self, stream: _Stream, size: int = CHUNK) -> int:
        """Read once, at most `size` bytes; return how many: 0 at the end, or for nothing there."""
        if stream not in self._streams:
            return 0  # Its end was seen in the same round of the poll.
        try:
            chunk = os.read(stream.fd, size)
        except BlockingIOError:
            return 0
        if chunk:
            self._log(stream.name, stream.lines.feed(chunk))
        else:
            self._end(stream)
        return len(chunk)

    def _end(self, stream: _Stream) -> None:
        self._log(stream.name, stream.lines.finish())
        self._streams.discard(stream)
        if self._reading:
            self._selector.unregister(stream.fd)
        os.close(stream.fd)

    def _read_last_words(self, stream: _Stream) -> None:
        """Print all that is in the pipe now, without waiting for its end.

        A grandchild may hold the pipe open, and may go on writing for ever.
        """
        if stream not in self._streams:
            return
        left = _readable(stream.fd)
        while left > 0:
            left -= self._read(stream, left)
        self._log(stream.name, stream.lines.finish())

    def _regulate(self) -> None:
        """Read no more from the children than stdout takes; notice when it takes nothing more."""
        if self._output.gone and not self._told_gone:
            self._told_gone = True
            self._happened.append(OutputGone())
        if self._reading and self._output.full:
            self._reading = False
            for stream in self._streams:
                self._selector.unregister(stream.fd)
        elif not self._reading and not self._output.full:
            self._reading = True
            for stream in self._streams:
                self._watch(stream)
        if self._writing != bool(self._output.pending):
            self._writing = not self._writing
            if self._writing:
                self._selector.register(self._output, selectors.EVENT_WRITE, self._output.flush)
            else:
                self._selector.unregister(self._output)

    # ---- processes ----

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
        self._read_last_words(dead.stream)
        self._orphaned.add(pid)
        self._happened.append(Exited(pid, status))

    def _sweep(self) -> None:
        """Report the groups of dead leaders in which nobody is left."""
        for pid in list(self._orphaned):
            try:
                os.killpg(pid, 0)
            except ProcessLookupError:
                self._orphaned.discard(pid)
                self._happened.append(GroupGone(pid))

    # ---- the end ----

    def _release(self, created: _Child) -> None:
        """In a forked child: give back what belongs to the supervisor."""
        self._signals.reset_in_child()
        _close(created)
        for stream in self._streams:
            os.close(stream.fd)
        for sibling in self._children.values():
            if sibling.notify is not None:
                sibling.notify.release()
        self._output.release()

    def close(self) -> None:
        left_behind = _kill_descendants()
        if left_behind:
            self.say(f"killed what was left behind: {', '.join(left_behind)}")
        for instance in self._children.values():
            if instance.notify is not None:
                instance.notify.close()
        for stream in list(self._streams):
            self._read_last_words(stream)
            if stream in self._streams:
                self._end(stream)
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


def _ensure_standard_descriptors() -> None:
    """Let 0, 1 and 2 be open: the pipe of an instance must never become the supervisor's stdout."""
    fd = 0
    while fd <= 2:
        fd = os.open(os.devnull, os.O_RDWR)  # The lowest that is free.
    os.close(fd)


def _fork() -> int:
    for stream in (sys.stdout, sys.stderr):
        # What is buffered would be printed by both.
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    with warnings.catch_warnings():
        # Python 3.12 warns where threads run; the log has said so already, and better.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _close(created: _Child) -> None:
    os.close(created.stream.fd)
    if created.notify is not None:
        created.notify.close()


def _readable(fd: int) -> int:
    """How many bytes are in the pipe (FIONREAD)."""
    size: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]
    return size


def _reaped() -> Iterator[tuple[int, ExitStatus]]:
    """Reap every child that is dead by now."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            yield pid, ExitStatus(code=code) if code >= 0 else ExitStatus(signal=-code)


def _kill_descendants() -> list[str]:
    """SIGKILL and reap whatever descends from this process; return what it was."""
    killed: dict[int, str] = {}
    while _has_children():
        import psutil  # Seldom needed, and 10 ms of every start if imported before.

        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                killed.setdefault(process.pid, f"{process.name()} (pid {process.pid})")
                process.kill()
        os.waitpid(-1, 0)
    return list(killed.values())


def _has_children() -> bool:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
