"""The sockets of a server in this process that only its own software knows, as one in Rust does.

They are found by their descriptors.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django_prodserver.supervisor.hints import Any, Optional, Union

# What connections have in common with the socket at which they were accepted: the port, or the
# path of the Unix socket.
Door = Union[int, str]

# Whether a socket listens (socket(7)).
_ACCEPTS = (socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def door_of(one: socket.socket) -> Optional[Door]:
    """None for a socket without a name, or with one that is in no file system."""
    name: Any = one.getsockname()
    if isinstance(name, tuple):
        return int(name[1])
    return name if isinstance(name, str) and name else None


def stop_accepting(door: Door) -> None:
    """Close all that listen there: each descriptor becomes one of a socket that nobody knows.

    Whoever accepts there goes on to wait, and there is no number for another file to get meanwhile.
    """
    linux = sys.platform == "linux"
    with socket.socket(socket.AF_UNIX if linux else socket.AF_INET) as stranger:
        # The kernel chooses a free abstract name (unix(7), autobind), or a port.
        stranger.bind("" if linux else ("127.0.0.1", 0))
        stranger.listen(1)
        stranger.setblocking(False)
        for descriptor, listens in _sockets(door):
            if listens:
                os.dup2(stranger.fileno(), descriptor, inheritable=False)


def count_connections(door: Door) -> int:
    """How many are open that were accepted there."""
    return sum(not listens for _, listens in _sockets(door))


def _sockets(door: Door) -> Iterator[tuple[int, bool]]:
    """The descriptors of all that listen or were accepted there; and whether they listen."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # It has been closed meanwhile.
            descriptor = int(name)
            # Those of event loops are non-blocking, and Python might make another one so.
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode) and not os.get_blocking(descriptor):
                with _as_socket(descriptor) as one:
                    found, listens = door_of(one), one.getsockopt(*_ACCEPTS)
                if found == door:
                    yield descriptor, bool(listens)


@contextmanager
def _as_socket(descriptor: int) -> Iterator[socket.socket]:
    """Without closing it."""
    one = socket.socket(fileno=descriptor)
    try:
        yield one
    finally:
        one.detach()
