"""Held sockets, in a life: listening sockets that the supervisor has bound, which it passes on.

A program that is executed gets them as systemd passes sockets (sd_listen_fds(3)), and a fork of the
project by their descriptors. Its software listens at them, and binds none of its own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from django_prodserver.supervisor.hints import Optional

# The first descriptor that is passed to a program (SD_LISTEN_FDS_START).
FIRST = 3
PID, COUNT, NAMES = "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"
# Of a number of descriptors (fs.nr_open of the kernel, 1048576 by default).
DIGITS = 7

_descriptors: Optional[Sequence[int]] = None


def give(descriptors: Sequence[int]) -> None:
    """In a life that is forked: these are its own."""
    global _descriptors
    _descriptors = descriptors


def descriptors() -> Sequence[int]:
    """Those of this process, in the order of its addresses; none where its software binds them.

    What it executes does not get them, unless it passes them on itself.
    """
    global _descriptors
    if _descriptors is None:
        # A program that runs without a supervisor behaves as under its own command.
        supervised = "PRODSERVER_INSTANCE" in os.environ
        _descriptors = passed_to(os.getpid()) if supervised else range(0)
        if _descriptors:
            for name in (PID, COUNT, NAMES):
                os.environ.pop(name, None)
        for descriptor in _descriptors:
            os.set_inheritable(descriptor, False)
    return _descriptors


def sockets() -> list[socket.socket]:
    """The same as sockets, which belong to the caller: to be called once."""
    return [socket.socket(fileno=descriptor) for descriptor in descriptors()]


def passed_to(pid: int) -> Sequence[int]:
    """What the environment says that this process was started with.

    sd_listen_fds(3) passes nothing, either, where that is not a number of descriptors: no process
    has more of them than DIGITS can express.
    """
    count = os.environ.get(COUNT, "")
    meant = os.environ.get(PID) == str(pid) and count.isdecimal() and len(count) <= DIGITS
    return range(FIRST, FIRST + (int(count) if meant else 0))


def close_those_of(parent: int) -> None:
    """In a fork: close what the service manager has passed to its parent, a pid."""
    for descriptor in passed_to(parent):
        os.close(descriptor)


def pass_on(descriptors: Sequence[int]) -> None:
    """Just before another program is executed: let it have these, from FIRST on.

    Whatever has these numbers now is closed on exec anyway.
    """
    import fcntl

    # None of them may be overwritten before it is copied.
    above = FIRST + len(descriptors)
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in descriptors]
    for number, copy in enumerate(copies, FIRST):
        os.dup2(copy, number, inheritable=True)
    if descriptors:
        os.environ.update({PID: str(os.getpid()), COUNT: str(len(descriptors))})
