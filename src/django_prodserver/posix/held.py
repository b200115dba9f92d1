"""Held sockets, as a life gets them: listening sockets that the supervisor has bound.

A program that is executed gets them as systemd passes sockets (sd_listen_fds(3)); a forked life
gets their descriptors. The server listens at them instead of binding its own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from django_prodserver.supervisor.hints import Optional

# The first descriptor that is passed to a program (SD_LISTEN_FDS_START).
FIRST = 3
PID, COUNT, NAMES = "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"
# The most digits that a number of descriptors has (fs.nr_open is 1048576 by default).
DIGITS = 7

_descriptors: Optional[Sequence[int]] = None


def give(descriptors: Sequence[int]) -> None:
    """In a forked life: set the descriptors of its held sockets."""
    global _descriptors
    _descriptors = descriptors


def descriptors() -> Sequence[int]:
    """The held sockets of this process, in the order of its addresses.

    There are none if its server binds the addresses itself. A program that this process executes
    does not inherit them, unless this process passes them on.
    """
    global _descriptors
    if _descriptors is None:
        # Without a supervisor, a program behaves as it does under its own command.
        supervised = "PRODSERVER_INSTANCE" in os.environ
        _descriptors = passed_to(os.getpid()) if supervised else range(0)
        if _descriptors:
            for name in (PID, COUNT, NAMES):
                os.environ.pop(name, None)
        for descriptor in _descriptors:
            os.set_inheritable(descriptor, False)
    return _descriptors


def sockets() -> list[socket.socket]:
    """The same as socket objects. The caller owns them, so call this only once."""
    return [socket.socket(fileno=descriptor) for descriptor in descriptors()]


def passed_to(pid: int) -> Sequence[int]:
    """The descriptors that the environment says were passed to this process.

    There are none if LISTEN_FDS is not a valid number, as in sd_listen_fds(3): no process has more
    descriptors than DIGITS can express.
    """
    count = os.environ.get(COUNT, "")
    meant = os.environ.get(PID) == str(pid) and count.isdecimal() and len(count) <= DIGITS
    return range(FIRST, FIRST + (int(count) if meant else 0))


def close_those_of(parent: int) -> None:
    """In a fork: close the descriptors that the service manager passed to `parent`, a pid."""
    for descriptor in passed_to(parent):
        os.close(descriptor)


def pass_on(descriptors: Sequence[int]) -> None:
    """Pass these descriptors to the program that is executed next, with numbers from FIRST on.

    Descriptors that have these numbers now would be closed on exec anyway.
    """
    import fcntl

    # Copy all of them first, so that none is overwritten.
    above = FIRST + len(descriptors)
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in descriptors]
    for number, copy in enumerate(copies, FIRST):
        os.dup2(copy, number, inheritable=True)
    if descriptors:
        os.environ.update({PID: str(os.getpid()), COUNT: str(len(descriptors))})
