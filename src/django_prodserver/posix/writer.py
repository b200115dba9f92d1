"""A process that writes for this one, where a write may block and there is no other way.

Between poll(2) and write(2) another writer can fill a pipe, and a terminal that polls writable may
have room for less than is written. So this process writes to a pipe of its own, which it shares
with nobody, and the other one copies that to where it is to go.
"""

from __future__ import annotations

import errno
import mmap
import os
import select
import signal
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from signal import Signals
from types import FrameType

from django_prodserver.supervisor.hints import Callable, NoReturn, Optional, Union

from . import child, kernel
from .output import GONE
from .signals import SignalPipe

# Interrupts a write that blocks, which then tells how many bytes it has written. It is sent again
# and again, for this many seconds: it may come just before the write.
INTERRUPT, ASK_FOR, ASK_EVERY = Signals.SIGVTALRM, 0.5, 0.02
# How long to wait for it after SIGKILL: it may be in uninterruptible sleep.
PATIENCE = 5.0
# A pipe's worth.
PIECE = 1 << 16
# What it tells: how many bytes it has written, and whether no process reads them any more.
_REPORT = struct.Struct("Q?")


class Writer:
    """Takes bytes without blocking; a process of ours writes them to `fd`.

    It holds at most what is in the pipe, and as much again. It takes no signal, neither of a
    terminal nor of whoever stops all of a container: it ends with its pipe, or with this process.
    Where there is no reader it exits, so that the next write here fails with EPIPE, as it would
    have without it.
    """

    def __init__(self, fd: int, signals: SignalPipe, release: Callable[[], None]) -> None:
        """Raises OSError. `release` closes, in the process, what else belongs to this one."""
        self._signals = signals
        self._taken = 0
        self._report = mmap.mmap(-1, _REPORT.size)
        self.ended = False
        read, self.fd = os.pipe()
        parent = os.getpid()

        def become() -> NoReturn:
            try:
                signals.close_in_child()
                kernel.die_with_parent(parent)
                os.setsid()
                release()
                os.close(self.fd)
                target = _only_descriptor(fd)
                _close_on(INTERRUPT, target)
                _copy(read, target, self._report)
            finally:
                os._exit(0)

        try:
            os.set_blocking(self.fd, False)
            self.pid = child.fork(become, signals)
        except OSError:
            os.close(self.fd)
            raise
        finally:
            os.close(read)

    def write(self, pieces: Sequence[Union[bytes, bytearray, memoryview]]) -> int:
        taken = os.writev(self.fd, pieces)
        self._taken += taken
        return taken

    def reaped(self, pid: int) -> bool:
        """Take note of the exit of a process; False if it was not this one."""
        if pid != self.pid or self.ended:
            return False
        self.ended = True
        return True

    def finished(self) -> bool:
        """Whether it has ended, once no more will be written: the caller has closed `fd`."""
        if not self.ended:
            try:
                self.ended = os.waitpid(self.pid, os.WNOHANG) != (0, 0)
            except ChildProcessError:
                self.ended = True  # Reaped along with others.
        return self.ended

    def close(self) -> tuple[int, bool]:
        """End it; returns how many bytes it never wrote, and whether no process reads them."""
        for number, patience in ((INTERRUPT, ASK_FOR), (Signals.SIGKILL, PATIENCE)):
            end = time.monotonic() + patience
            while not self.finished() and time.monotonic() < end:
                os.kill(self.pid, number)
                self._signals.wait(ASK_EVERY)
        written, gone = _REPORT.unpack(self._report[:])
        self._report.close()
        return self._taken - written, gone


def _only_descriptor(fd: int) -> int:
    """Let 0, 1 and 2 be /dev/null, and return another descriptor of the same file."""
    target = os.dup(fd)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    return target


def _close_on(number: Signals, fd: int) -> None:
    """Let this signal make the next write fail; the one that it interrupts has its result."""

    def close(number: int, frame: Optional[FrameType]) -> None:
        with suppress(OSError):
            os.close(fd)

    signal.signal(number, close)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])


def _copy(source: int, target: int, report: mmap.mmap) -> None:
    """Write all that comes, until its end, until no process reads it, or until an interrupt.

    What is written is counted at once.
    """
    total = 0
    poll = select.poll()
    poll.register(target, select.POLLOUT)
    while piece := os.read(source, PIECE):
        left = memoryview(piece)
        while left:
            try:
                count = os.write(target, left)
            except BlockingIOError:  # Another process has switched it to that.
                poll.poll()
                continue
            except OSError as error:
                if error.errno in GONE:
                    report[:] = _REPORT.pack(total, True)
                if error.errno in {*GONE, errno.EBADF}:
                    return
                break  # It is lost, and that is counted by not being counted here.
            total += count
            left = left[count:]
            report[:] = _REPORT.pack(total, False)
