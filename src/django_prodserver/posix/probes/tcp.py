"""A probe that connects."""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Sequence

from django_prodserver.posix.address import SocketAddress
from django_prodserver.supervisor.hints import Optional, Union

from .probe import NotBegun, Probe

# Out of file descriptors or memory; for IPv4 sockets also: out of local ports.
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
NO_PORT = frozenset({errno.EAGAIN, errno.EADDRNOTAVAIL})


class TcpProbe(Probe):
    """Tries one address after the other."""

    def __init__(
        self, selector: selectors.PollSelector, name: str, addresses: Sequence[SocketAddress]
    ) -> None:
        super().__init__(selector)
        self._name = name
        self._left = list(addresses)
        self._socket: Optional[socket.socket] = None

    def release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _begin(self) -> None:
        if self._left:
            self._try(*self._left.pop(0))
        else:
            self.finish(f"{self._name} is not an address to connect to")

    def _try(self, family: int, address: Union[str, tuple[object, ...]]) -> None:
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            code = self._socket.connect_ex(address)
        except OSError as error:
            code = error.errno or errno.EINVAL
        if code in SHORTAGES or (family == socket.AF_INET and code in NO_PORT):
            self.finish(NotBegun(os.strerror(code)))
        elif code == errno.EINPROGRESS:
            assert self._socket is not None
            self._watch(self._socket.fileno(), selectors.EVENT_WRITE, self._answered)
        else:
            self._connect_ended(code)

    def _answered(self) -> None:
        assert self._socket is not None
        self._connect_ended(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _connect_ended(self, code: int) -> None:
        self._unwatch()
        if code == 0 and self._socket is not None:
            if not connected_to_itself(self._socket):
                self._connected(self._socket)
                return
            code = errno.ECONNREFUSED
        self.release()
        if self._left:
            self._begin()
        elif code == errno.ECONNREFUSED:
            self.finish(f"connection to {self._name} refused")
        else:
            self.finish(f"connection to {self._name} failed: {os.strerror(code)}")

    def _connected(self, connection: socket.socket) -> None:
        self.finish()


def connected_to_itself(connection: socket.socket) -> bool:
    """Whether a socket is connected to itself, because no process listens.

    The kernel may choose the target port as the local port, and TCP allows that.
    """
    if connection.family == socket.AF_UNIX:
        return False
    try:
        return bool(connection.getsockname() == connection.getpeername())
    except OSError:
        return False  # It was reset already: some process did listen.
