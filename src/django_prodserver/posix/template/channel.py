"""A channel between the supervisor and a template: whole messages, with descriptors (unix(7))."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Iterable, Sequence

from django_prodserver.posix import rights
from django_prodserver.supervisor.hints import Any, Optional

from .wire import pack, unpack

# The packet size in bytes: a packet must fit into the socket buffer, whose smallest default is
# 208 KiB (net.core.wmem_default). The first byte tells whether more packets of the message follow.
PACKET = 1 << 16
_MORE, _LAST = b"+", b"."
# The most descriptors in one message (the kernel's SCM_MAX_FD): those of held sockets and others.
DESCRIPTORS = 253
_SPACE = rights.space_for(DESCRIPTORS)
# Received descriptors must not leak into programs that are executed here.
_FLAGS = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Closed(Exception):
    """The other end of the channel is gone, or does not speak our protocol."""


class Message(tuple[Any, ...]):
    """A received message: a word and its arguments. The receiver owns `fds`, and closes them."""

    fds: Sequence[int]
    # Some descriptors are missing: this process was at its limit.
    truncated: bool


def copies(fds: Iterable[int]) -> list[int]:
    """Duplicate descriptors. Raises OSError, and then leaves none open."""
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
    """One end. On a non-blocking socket `send` never blocks: it queues what does not fit."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._unsent: deque[tuple[bytes, Sequence[int]]] = deque()
        self._received = b""
        self._fds: list[int] = []
        self._truncated = False

    @classmethod
    def of(cls, fd: int) -> Channel:
        """Take over a descriptor as one end of a channel."""
        os.set_inheritable(fd, False)
        return cls(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fd))

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def waiting(self) -> bool:
        """Whether something is queued: call `flush` once the socket takes more."""
        return bool(self._unsent)

    def set_blocking(self, blocking: bool) -> None:
        self._socket.setblocking(blocking)

    def send(self, *message: Any, fds: Sequence[int] = ()) -> None:
        """Send a message, with copies of descriptors. Does nothing if the other end is gone.

        Only `receive` reports that. Raises OSError, and sends nothing, if the descriptors cannot
        be copied.
        """
        packed = pack(message)
        pieces = [packed[at : at + PACKET] for at in range(0, len(packed), PACKET)]
        # The socket may be full for now, and the caller closes its own descriptors.
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
        """The next message; None if it has not arrived yet. Raises Closed."""
        while True:
            try:
                packet, ancillary, flags, _ = self._socket.recvmsg(PACKET + 1, _SPACE, _FLAGS)
            except BlockingIOError:
                return None
            except ConnectionResetError:
                continue  # The other end closed with data unread. What it sent can still be read.
            self._fds += rights.received(ancillary)
            self._truncated |= bool(flags & socket.MSG_CTRUNC)
            if not packet:
                raise Closed
            self._received += packet[1:]
            if packet[:1] != _MORE:
                message = _parse(self._received)
                message.fds, message.truncated = self._fds, self._truncated
                self._received, self._fds, self._truncated = b"", [], False
                return message

    def detach(self) -> int:
        """Give up the socket; returns its descriptor. No message may be half read or unsent."""
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


def _parse(packed: bytes) -> Message:
    """Unpack a message. Raises Closed for bytes that no program of ours would send."""
    try:
        word, *rest = unpack(packed)
    except (ValueError, TypeError, LookupError, EOFError) as error:
        raise Closed from error
    return Message((word, *rest))
