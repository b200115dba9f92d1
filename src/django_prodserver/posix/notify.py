"""Readiness by the sd_notify protocol, both ways.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import sys
import tempfile
from typing import Optional

VARIABLE = "NOTIFY_SOCKET"
READY = b"READY=1"

# One datagram holds a few short lines; what is longer is no notification.
_LONGEST = 4096
# struct ucred: pid, uid, gid (unix(7)).
_CREDENTIALS = struct.Struct("3i")
_LINUX = sys.platform == "linux"


def notify(message: bytes = READY, address: Optional[str] = None) -> None:
    """Send a message to whoever started this process, if it listens; silent otherwise.

    `address` is what the environment variable NOTIFY_SOCKET says, unless given: a path, or a name
    in the abstract namespace behind an `@`.
    """
    address = os.environ.get(VARIABLE, "") if address is None else address
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(message, address)
        except OSError:
            # The listener is gone or overrun: its loss, and no reason to fail the work.
            return


class NotifySocket:
    """The socket to which one instance reports.

    On Linux an abstract one: it needs no writable directory, and leaves nothing behind.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._folder: Optional[str] = None
        if _LINUX:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self._socket.bind("")  # The kernel chooses a free abstract name (unix(7), autobind).
            self.address = "@" + self._socket.getsockname()[1:].decode()
        else:
            self._folder = tempfile.mkdtemp(prefix="prodserver-")
            self.address = os.path.join(self._folder, "notify")
            self._socket.bind(self.address)

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self, session: int) -> list[bytes]:
        """Return the lines of the waiting messages whose sender is of that session."""
        lines: list[bytes] = []
        while True:
            try:
                message, ancillary, flags, _ = self._socket.recvmsg(
                    _LONGEST, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except BlockingIOError:
                return lines
            if not flags & socket.MSG_TRUNC and _is_from(session, ancillary):
                lines += message.splitlines()

    def release(self) -> None:
        """Close the descriptor; for a forked child, to whom the rest does not belong."""
        self._socket.close()

    def close(self) -> None:
        self.release()
        if self._folder is not None:
            shutil.rmtree(self._folder)


def _is_from(session: int, ancillary: list[tuple[int, int, bytes]]) -> bool:
    if not _LINUX:
        return True  # Nobody but this user can reach into the socket's folder.
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, _, _ = _CREDENTIALS.unpack_from(data)
            try:
                return os.getsid(pid) == session
            except OSError:
                return False  # Ended meanwhile, or from outside our pid namespace.
    return False
