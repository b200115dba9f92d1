"""The writer to stdout that never blocks, and never changes the stdout of another process.

O_NONBLOCK belongs to the open file description, which other processes share (open(2)): set on
fd 1 it would reach into the shell that started us. So each kind of stdout has a way of its own.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
from collections.abc import Sequence
from typing import Callable, Optional, Union

# No process reads any more: a closed pipe or socket, a terminal that hung up.
GONE = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EIO})

Pieces = Sequence[Union[bytes, bytearray, memoryview]]


class Output:
    """A bounded buffer in front of a file descriptor.

    `write` takes every block whole and passes on at once what the descriptor accepts. While the
    buffer is `full` the caller is to stop producing; what is held stays near `limit` bytes then.
    From when it is half empty, and thus `ready`, it is worth while to go on.
    """

    def __init__(self, fd: int = 1, limit: int = 1 << 20) -> None:
        self._limit = limit
        self._held = bytearray()
        self._own = _reopen(fd)
        self._fd = fd if self._own is None else self._own
        self._write = _writer(self._fd, reopened=self._own is not None)
        self.lost = 0
        self.gone = False

    def fileno(self) -> int:
        return self._fd

    @property
    def pending(self) -> int:
        return len(self._held)

    @property
    def full(self) -> bool:
        return len(self._held) >= self._limit

    @property
    def ready(self) -> bool:
        return len(self._held) <= self._limit // 2

    def write(self, pieces: Pieces) -> None:
        """Take a block in pieces, each of them bytes."""
        done = 0 if self._held else self._put(pieces)
        for piece in pieces:
            if done < len(piece):
                self._held += piece[done:]
            done = max(0, done - len(piece))

    def flush(self) -> None:
        """Write what can be written now."""
        if self._held:
            del self._held[: self._put([self._held])]

    def close(self) -> None:
        """Count what is pending as lost, and release the descriptor."""
        self.lost += len(self._held)
        self._held.clear()
        self.release()

    def release(self) -> None:
        """Close the descriptor if it is our own; a forked child does no more than that."""
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def _put(self, pieces: Pieces) -> int:
        """Pass on what the descriptor accepts; return of how many bytes nothing is left to do."""
        if not self.gone:
            try:
                return self._write(pieces)
            except BlockingIOError:
                return 0
            except OSError as error:
                # A full disk loses lines, but is not a reason to stop.
                self.gone = error.errno in GONE
        size = sum(map(len, pieces))
        self.lost += size
        return size


def open_standard_descriptors() -> None:
    """Let 0, 1 and 2 be open: nothing that is opened later must become the supervisor's stdout."""
    fd = 0
    while fd <= 2:
        fd = os.open(os.devnull, os.O_RDWR)  # The lowest that is free.
    os.close(fd)


def _reopen(fd: int) -> Optional[int]:
    """Open a description of our own for the pipe or device behind `fd`, where Linux allows it.

    A regular file would get an offset of its own and overwrite itself; a socket cannot be opened;
    another user's pipe may not be. None for all of these.
    """
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return None
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None


def _writer(fd: int, *, reopened: bool) -> Callable[[Pieces], int]:
    """What writes to a descriptor without blocking; returns how many bytes were taken."""
    mode = os.fstat(fd).st_mode
    if reopened or stat.S_ISREG(mode):
        return lambda pieces: os.writev(fd, pieces)
    if stat.S_ISSOCK(mode):
        return lambda pieces: _send(fd, pieces)
    return lambda pieces: _write_what_fits(fd, pieces)


def _send(fd: int, pieces: Pieces) -> int:
    connection = socket.socket(fileno=fd)
    try:
        return connection.sendmsg(pieces, (), socket.MSG_DONTWAIT)
    finally:
        connection.detach()


def _write_what_fits(fd: int, pieces: Pieces) -> int:
    # A pipe that polls writable takes PIPE_BUF bytes without blocking (pipe(7)).
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    written = 0
    for piece in pieces:
        left = memoryview(piece)
        while left:
            if not poll.poll(0):
                return written
            count = os.write(fd, left[: select.PIPE_BUF])
            written += count
            left = left[count:]
    return written
