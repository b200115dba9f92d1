"""The writer to stdout that never blocks, and never changes the stdout of anybody else.

O_NONBLOCK belongs to the open file description, which other processes share (open(2)): set on
fd 1 it would reach into the shell that started us. So each kind of stdout has a way of its own.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
from collections import deque
from typing import Callable, Optional

# Nobody reads any more: a closed pipe or socket, a terminal that hung up.
GONE = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EIO})


class Output:
    """A bounded buffer in front of a file descriptor.

    `write` takes every block whole and passes on at once what the descriptor accepts. While the
    buffer is `full` the caller is to stop producing; what is held stays near `limit` bytes then.
    """

    def __init__(self, fd: int = 1, limit: int = 1 << 20) -> None:
        self._limit = limit
        self._blocks: deque[memoryview] = deque()
        self._own = _reopen(fd)
        self._fd = fd if self._own is None else self._own
        self._write = _writer(self._fd, reopened=self._own is not None)
        self.pending = 0
        self.lost = 0
        self.gone = False

    def fileno(self) -> int:
        return self._fd

    @property
    def full(self) -> bool:
        return self.pending >= self._limit

    def write(self, block: bytes) -> None:
        self._blocks.append(memoryview(block))
        self.pending += len(block)
        if self.gone:
            self._drop()
        elif len(self._blocks) == 1:
            self.flush()

    def flush(self) -> None:
        """Write what can be written now."""
        while self._blocks:
            block = self._blocks[0]
            try:
                written = self._write(block)
            except BlockingIOError:
                return
            except OSError as error:
                # A full disk loses lines, but is no reason to stop anybody.
                self.gone = error.errno in GONE
                self._drop()
                return
            self.pending -= written
            if written < len(block):
                self._blocks[0] = block[written:]
            else:
                self._blocks.popleft()

    def close(self) -> None:
        """Count what is pending as lost, and release the descriptor."""
        self._drop()
        self.release()

    def release(self) -> None:
        """Close the descriptor if it is our own; a forked child does no more than that."""
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def _drop(self) -> None:
        self.lost += self.pending
        self.pending = 0
        self._blocks.clear()


def open_standard_descriptors() -> None:
    """Let 0, 1 and 2 be open: nothing that is opened later must become the supervisor's stdout."""
    fd = 0
    while fd <= 2:
        fd = os.open(os.devnull, os.O_RDWR)  # The lowest that is free.
    os.close(fd)


def _reopen(fd: int) -> Optional[int]:
    """Open a description of our own for the pipe or terminal behind `fd`, where Linux allows it.

    A regular file would get an offset of its own and overwrite itself; a socket cannot be opened;
    another user's pipe may not be. None for all of these.
    """
    if not (stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd)):
        return None
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None


def _writer(fd: int, *, reopened: bool) -> Callable[[memoryview], int]:
    mode = os.fstat(fd).st_mode
    if reopened or stat.S_ISREG(mode):
        return lambda block: os.write(fd, block)
    if stat.S_ISSOCK(mode):
        return lambda block: _send(fd, block)
    return lambda block: _write_what_fits(fd, block)


def _send(fd: int, block: memoryview) -> int:
    connection = socket.socket(fileno=fd)
    try:
        return connection.send(block, socket.MSG_DONTWAIT)
    finally:
        connection.detach()


def _write_what_fits(fd: int, block: memoryview) -> int:
    # A pipe that polls writable takes PIPE_BUF bytes without blocking (pipe(7)).
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return os.write(fd, block[: select.PIPE_BUF])
