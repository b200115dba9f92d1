"""Descriptors that travel beside a message through a Unix socket (SCM_RIGHTS, unix(7))."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from struct import Struct

Ancillary = tuple[int, int, bytes]

_ONE = Struct("i")


def space_for(count: int) -> int:
    """How much room this many descriptors take, in bytes."""
    return socket.CMSG_SPACE(count * _ONE.size)


def packed(fds: Sequence[int]) -> list[Ancillary]:
    """What is to be sent with a message."""
    data = b"".join(map(_ONE.pack, fds))
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, data)] if fds else []


def received(ancillary: Sequence[Ancillary]) -> list[int]:
    """What came with a message. One that was cut short has no half of a descriptor."""
    return [
        fd
        for level, kind, data in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (fd,) in _ONE.iter_unpack(data[: len(data) - len(data) % _ONE.size])
    ]
