"""File descriptors that are sent with a message over a Unix socket (SCM_RIGHTS, unix(7))."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from struct import Struct

Ancillary = tuple[int, int, bytes]

_ONE = Struct("i")


def space_for(count: int) -> int:
    """The size of the ancillary data for this many descriptors, in bytes."""
    return socket.CMSG_SPACE(count * _ONE.size)


def packed(fds: Sequence[int]) -> list[Ancillary]:
    """The ancillary data that sends these descriptors."""
    data = b"".join(map(_ONE.pack, fds))
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, data)] if fds else []


def received(ancillary: Sequence[Ancillary]) -> list[int]:
    """The descriptors that came with a message. Of truncated data, half a descriptor is dropped."""
    return [
        fd
        for level, kind, data in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (fd,) in _ONE.iter_unpack(data[: len(data) - len(data) % _ONE.size])
    ]
