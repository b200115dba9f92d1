"""Writes to stdout that never block, and never change the stdout of another process.

O_NONBLOCK belongs to the open file description, which other processes share (open(2)): set on fd 1,
it would also affect the shell that started us. So each kind of stdout is handled differently.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import stat
import time
from collections.abc import Collection, Iterable
from signal import Signals

from django_prodserver.logs.held import Held, Pieces
from django_prodserver.supervisor.hints import TYPE_CHECKING, Callable, Optional

from . import kernel
from .signals import SignalPipe

if TYPE_CHECKING:
    from .writer import Writer

# No process reads any more: a closed pipe or socket, a terminal that hung up.
GONE = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EIO})

# Bytes to hold for a slow reader, and the capacity of the pipe to it. With more of either, a line
# waits longer behind a flood, and the copies no longer fit into the processor's cache.
LIMIT = 1 << 18


class Output:
    """A bounded buffer in front of a file descriptor.

    `write` accepts every block whole and passes on at once what the descriptor accepts. The caller
    must stop producing while the buffer is `full`, which keeps it near `limit` bytes, and should
    continue once it is half empty, and thus `ready`.

    Where a write could block, a child process writes (see `Writer`). It handles none of the
    `signals`, and closes the descriptors of the `others`.
    """

    def __init__(
        self,
        fd: int = 1,
        limit: int = LIMIT,
        signals: Optional[SignalPipe] = None,
        others: Collection[Output] = (),
    ) -> None:
        self._limit = limit
        self._held = Held()
        self.lost = 0
        self.gone = False
        self._given_up = False
        # Whether what was passed on ends inside a line, and whether the rest of that line is lost.
        self._inside = False
        self._torn = False
        self.writer: Optional[Writer] = None
        # A descriptor of our own, which `release` closes.
        self._own = _reopen(fd)
        self._fd = fd if self._own is None else self._own
        mode = os.fstat(fd).st_mode
        if self._own is not None and stat.S_ISFIFO(mode):
            kernel.enlarge_pipe(self._own, LIMIT)
        if stat.S_ISSOCK(mode):
            self._pass_on: Callable[[Pieces], int] = lambda pieces: _send(fd, pieces)
        elif self._own is None and not stat.S_ISREG(mode):
            self.writer = _start_writer(fd, signals, others)
            self._own = self._fd = self.writer.fd
            self._pass_on = self.writer.write
        else:
            self._pass_on = lambda pieces: os.writev(self._fd, pieces)

    def fileno(self) -> int:
        return self._fd

    @property
    def pending(self) -> int:
        return self._held.size

    @property
    def full(self) -> bool:
        return self._held.size >= self._limit

    @property
    def ready(self) -> bool:
        return self._held.size <= self._limit // 2

    def write(self, pieces: Pieces) -> None:
        """Accept a block of whole lines, in pieces of bytes."""
        self._held.add(pieces, 0 if self._held.size else self._put(pieces))

    def flush(self) -> None:
        """Write what can be written now."""
        if self._held.size:
            self._held.remove(self._put(self._held.first()))

    def finished(self) -> bool:
        """Flush, after the last `write`; return whether everything is written."""
        self.flush()
        if self._held.size:
            return False
        self.release()
        return self.writer is None or self.writer.finished()

    def give_up(self) -> None:
        """Count as lost what is pending, and what is written from now on."""
        self._given_up = True
        self.lost += self._held.size
        self._held.clear()
        self.release()
        if self.writer is not None:
            lost, gone = self.writer.close()
            self.lost, self.gone, self.writer = self.lost + lost, self.gone or gone, None

    def writer_exited(self, pid: int) -> bool:
        """Record the exit of a process; False if it is not the writer."""
        if self.writer is None or not self.writer.reaped(pid):
            return False
        self.gone = True
        return True

    def release(self) -> None:
        """Close the descriptor if it is our own; a forked child needs to do nothing else."""
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def _put(self, pieces: Pieces) -> int:
        """Pass on what the descriptor accepts; return how many bytes were passed on or lost."""
        size = sum(map(len, pieces))
        if not (self.gone or self._given_up):
            try:
                done = self._write(pieces)
            except BlockingIOError:
                return 0
            except OSError as error:
                # A full disk loses lines, but is not a reason to stop.
                self.gone = error.errno in GONE
                self._torn = self._inside
            else:
                self._inside = 0 < done < size and _byte(pieces, done - 1) != b"\n"
                return done
        self.lost += size
        return size

    def _write(self, pieces: Pieces) -> int:
        if not self._torn:
            return self._pass_on(pieces)
        # Keep the next line from being glued to half of another.
        done = self._pass_on([b"\n", *pieces])
        self._torn = self._inside = False
        return done - 1


def wait_for_room(outputs: Iterable[Output], signals: SignalPipe, end: float) -> bool:
    """Wait until an output has room or a writer has exited, and flush.

    False once `end` has passed (in the clock of `time.monotonic`), or if another signal than
    SIGCHLD has arrived.
    """
    left = end - time.monotonic()
    if left <= 0:
        return False
    with selectors.PollSelector() as selector:
        selector.register(signals, selectors.EVENT_READ)
        for output in outputs:
            if output.pending:
                selector.register(output, selectors.EVENT_WRITE)
        selector.select(left)
    for output in outputs:
        output.flush()
    return all(signal is Signals.SIGCHLD for signal in signals.drain())


def open_standard_descriptors() -> None:
    """Make sure that 0, 1 and 2 are open, so that no file opened later becomes stdout."""
    fd = 0
    while fd <= 2:
        fd = os.open(os.devnull, os.O_RDWR)  # The lowest that is free.
    os.close(fd)


def _reopen(fd: int) -> Optional[int]:
    """Open our own file description of the pipe or device behind `fd`, where Linux allows it.

    None otherwise: a regular file would get a second offset and overwrite itself, a socket cannot
    be opened, and opening another user's pipe may be denied.
    """
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return None
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None


def _send(fd: int, pieces: Pieces) -> int:
    connection = socket.socket(fileno=fd)
    try:
        return connection.sendmsg(pieces, (), socket.MSG_DONTWAIT)
    finally:
        connection.detach()


def _start_writer(fd: int, signals: Optional[SignalPipe], others: Collection[Output]) -> Writer:
    from .writer import Writer  # Seldom needed.

    assert signals is not None, f"a write to descriptor {fd} can block"

    def release() -> None:
        for other in others:
            other.release()

    return Writer(fd, signals, release)


def _byte(pieces: Pieces, index: int) -> bytes:
    for piece in pieces:
        if index < len(piece):
            return bytes(piece[index : index + 1])
        index -= len(piece)
    raise IndexError(index)
