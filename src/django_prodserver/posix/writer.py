"""A child process that writes for this one, where a write may block and there is no other way.

Between poll(2) and write(2) another writer can fill a pipe, and a terminal that polls writable may
have room for less than is written. So this process writes to a private pipe, and the child copies
the bytes from there to the target.
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

# INTERRUPT interrupts a write that blocks, which then returns how many bytes it has written. It is
# sent every ASK_EVERY seconds for ASK_FOR seconds, because it may arrive just before the write.
INTERRUPT, ASK_FOR, ASK_EVERY = Signals.SIGVTALRM, 0.5, 0.02
# Seconds to wait for the child after SIGKILL: it may be in uninterruptible sleep.
PATIENCE = 5.0
# The default capacity of a pipe, in bytes.
PIECE = 1 << 16
# What the child reports: how many bytes it has written, and whether the reader is gone.
_REPORT = struct.Struct("Q?")


class Writer:
    """Accepts bytes without blocking; a child process writes them to `fd`.

    At most the capacity of the pipe is in transit, and as much again in the child. The child
    blocks all signals but INTERRUPT, because a terminal or a platform may signal every process: it
    exits when the pipe is closed, or when this process dies. It also exits if `fd` has no reader,
    so that the next write here fails with EPIPE, as a direct write would.
    """

    def __init__(self, fd: int, signals: SignalPipe, release: Callable[[], None]) -> None:
        """Raises OSError. In the child, `release` closes what else belongs to this process."""
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
        """Record the exit of a process; False if it is not the child."""
        if pid != self.pid or self.ended:
            return False
        self.ended = True
        return True

    def finished(self) -> bool:
        """Whether the child has exited. Call it after the last write, once `fd` is closed."""
        if not self.ended:
            try:
                self.ended = os.waitpid(self.pid, os.WNOHANG) != (0, 0)
            except ChildProcessError:
                self.ended = True  # Reaped along with others.
        return self.ended

    def close(self) -> tuple[int, bool]:
        """End the child; return how many bytes it never wrote, and whether the reader is gone."""
        for number, patience in ((INTERRUPT, ASK_FOR), (Signals.SIGKILL, PATIENCE)):
            end = time.monotonic() + patience
            while not self.finished() and time.monotonic() < end:
                os.kill(self.pid, number)
                self._signals.wait(ASK_EVERY)
        written, gone = _REPORT.unpack(self._report[:])
        self._report.close()
        return self._taken - written, gone


def _only_descriptor(fd: int) -> int:
    """Point 0, 1 and 2 at /dev/null, and return another descriptor of the file behind `fd`."""
    target = os.dup(fd)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    return target


def _close_on(number: Signals, fd: int) -> None:
    """Close `fd` on this signal: an interrupted write returns its count, the next one fails."""

    def close(number: int, frame: Optional[FrameType]) -> None:
        with suppress(OSError):
            os.close(fd)

    signal.signal(number, close)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])


def _copy(source: int, target: int, report: mmap.mmap) -> None:
    """Copy until EOF, until the reader of `target` is gone, or until INTERRUPT.

    `report` is updated after each write.
    """
    total = 0
    poll = select.poll()
    poll.register(target, select.POLLOUT)
    while piece := os.read(source, PIECE):
        left = memoryview(piece)
        while left:
            try:
                count = os.write(target, left)
            except BlockingIOError:  # Another process has made it non-blocking.
                poll.poll()
                continue
            except OSError as error:
                if error.errno in GONE:
                    report[:] = _REPORT.pack(total, True)
                if error.errno in {*GONE, errno.EBADF}:
                    return
                break  # The rest of this piece is lost; `close` counts what is not in `total`.
            total += count
            left = left[count:]
            report[:] = _REPORT.pack(total, False)
