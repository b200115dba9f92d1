"""The sockets of a server in this process that has no Python objects for them: one in Rust, say.

They are found by their file descriptors.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django_prodserver.supervisor.hints import Any, Optional, Union

# What accepted connections have in common with their listening socket: the port, or the path of the
# Unix socket.
Door = Union[int, str]

# Whether a socket listens (socket(7)).
_ACCEPTS = (socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def door_of(one: socket.socket) -> Optional[Door]:
    """The door of a socket; None if the socket has no name, or an abstract one."""
    name: Any = one.getsockname()
    if isinstance(name, tuple):
        return int(name[1])
    return name if isinstance(name, str) and name else None


def stop_accepting(door: Door) -> None:
    """Close all sockets that listen there: replace each by a socket to which no client connects.

    Code that waits in accept(2) keeps waiting. The descriptors stay in use, so that no other file
    gets their numbers meanwhile.
    """
    linux = sys.platform == "linux"
    with socket.socket(socket.AF_UNIX if linux else socket.AF_INET) as replacement:
        # The kernel chooses a free abstract name (unix(7), autobind), or a port.
        replacement.bind("" if linux else ("127.0.0.1", 0))
        replacement.listen(1)
        replacement.setblocking(False)
        for descriptor, listens in _sockets(door):
            if listens:
                os.dup2(replacement.fileno(), descriptor, inheritable=False)


def count_connections(door: Door) -> int:
    """How many connections that were accepted there are open."""
    return sum(not listens for _, listens in _sockets(door))


def _sockets(door: Door) -> Iterator[tuple[int, bool]]:
    """The descriptors of sockets that listen or were accepted there, and whether each listens."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # It has been closed meanwhile.
            descriptor = int(name)
            # Sockets of event loops are non-blocking. A blocking one is skipped, because the socket
            # object might make it non-blocking.
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode) and not os.get_blocking(descriptor):
                with _as_socket(descriptor) as one:
                    found, listens = door_of(one), one.getsockopt(*_ACCEPTS)
                if found == door:
                    yield descriptor, bool(listens)


@contextmanager
def _as_socket(descriptor: int) -> Iterator[socket.socket]:
    """A socket object for a descriptor, which it does not close."""
    one = socket.socket(fileno=descriptor)
    try:
        yield one
    finally:
        one.detach()
