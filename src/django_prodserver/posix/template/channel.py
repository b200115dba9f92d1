"""A channel between the supervisor and a template: whole messages, with descriptors (unix(7))."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Iterable, Sequence

from django_prodserver.posix import rights
from django_prodserver.supervisor.hints import Any, Optional

from .wire import pack, unpack

# The size of the packets of a message, in bytes: one must fit into the buffer of a socket, whose
# smallest default is 208 KiB (net.core.wmem_default). The first byte of each tells whether more
# of them follow.
PACKET = 1 << 16
_MORE, _LAST = b"+", b"."
# The most descriptors in one message (SCM_MAX_FD of the kernel): those of held sockets and others.
DESCRIPTORS = 253
_SPACE = rights.space_for(DESCRIPTORS)
# What comes is not for programs that are executed here.
_FLAGS = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Closed(Exception):
    """The other end of the channel is gone, or cannot be understood."""


class Message(tuple[Any, ...]):
    """What came: a name and its arguments. `fds` came along, and belong to the receiver."""

    fds: Sequence[int]
    # Some are not among them: this process could have no more of them.
    truncated: bool


def copies(fds: Iterable[int]) -> list[int]:
    """Raises OSError, and leaves nothing open then."""
    made: list[int] = []
    try:
        for fd in fds:
            made.append(os.dup(fd))
    except OSError:
        close_all(made)
        raise
    return made


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Channel:
    """One end. `send` never blocks where the socket does not: it keeps what has to wait."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._unsent: deque[tuple[bytes, Sequence[int]]] = deque()
        self._received = b""
        self._fds: list[int] = []
        self._truncated = False

    @classmethod
    def of(cls, fd: int) -> Channel:
        """The end that this descriptor is, which belongs to the channel from now on."""
        os.set_inheritable(fd, False)
        return cls(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fd))

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def waiting(self) -> bool:
        """Something is still to be sent: `flush` once the socket takes more."""
        return bool(self._unsent)

    def set_blocking(self, blocking: bool) -> None:
        self._socket.setblocking(blocking)

    def send(self, *message: Any, fds: Sequence[int] = ()) -> None:
        """Send a message, and copies of descriptors. A channel whose other end is gone is silent.

        The reader will notice, and that is what counts. Raises OSError, and has sent
        nothing then, where there can be no copies.
        """
        packed = pack(message)
        pieces = [packed[at : at + PACKET] for at in range(0, len(packed), PACKET)]
        # The socket may have no room for now, and the caller closes them.
        theirs = copies(fds)
        for number, piece in enumerate(pieces, 1):
            last = number == len(pieces)
            self._unsent.append(((_LAST if last else _MORE) + piece, theirs if last else ()))
        self.flush()

    def flush(self) -> None:
        while self._unsent:
            packet, fds = self._unsent[0]
            try:
                self._socket.sendmsg([packet], rights.packed(fds))
            except BlockingIOError:
                return
            except OSError:
                self._drop()
                return
            self._unsent.popleft()
            close_all(fds)

    def receive(self) -> Optional[Message]:
        """The next message; None where it has not come yet. Raises Closed."""
        while True:
            try:
                packet, ancillary, flags, _ = self._socket.recvmsg(PACKET + 1, _SPACE, _FLAGS)
            except BlockingIOError:
                return None
            except ConnectionResetError:
                continue  # The other one has not read all. What it has said before is still there.
            self._fds += rights.received(ancillary)
            self._truncated |= bool(flags & socket.MSG_CTRUNC)
            if not packet:
                raise Closed
            self._received += packet[1:]
            if packet[:1] != _MORE:
                message = _understood(self._received)
                message.fds, message.truncated = self._fds, self._truncated
                self._received, self._fds, self._truncated = b"", [], False
                return message

    def detach(self) -> int:
        """Give up the socket, of which all has been read and sent; returns its descriptor."""
        return self._socket.detach()

    def close(self) -> None:
        self._drop()
        close_all(self._fds)
        self._fds = []
        self._socket.close()

    def _drop(self) -> None:
        for _, fds in self._unsent:
            close_all(fds)
        self._unsent.clear()


def _understood(packed: bytes) -> Message:
    """Raises Closed: what is no message has not been sent by a program of ours."""
    try:
        word, *rest = unpack(packed)
    except (ValueError, TypeError, LookupError, EOFError) as error:
        raise Closed from error
    return Message((word, *rest))
