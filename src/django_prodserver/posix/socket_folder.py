"""The folder of the sockets to which lives report: only who knows an address reaches it.

An abstract name (unix(7)) needs no folder, but any process of the machine can find it in
/proc/net/unix and keep its queue full.
"""

from __future__ import annotations

import os
import socket

from .private_folder import SOCKETS, PrivateFolder, temporary

# In it a socket gets its name, which /proc/net/unix goes on to show; then it moves away from here.
_NEW = "new"


class SocketFolder(PrivateFolder):
    """Raises OSError if there cannot be one."""

    def __init__(self) -> None:
        super().__init__(SOCKETS, temporary())
        try:
            os.mkdir(os.path.join(self.path, _NEW), 0o700)
        except OSError:
            self.close()
            raise

    def new_path(self) -> str:
        """That of a file of a life, which cannot be guessed."""
        return os.path.join(self.path, os.urandom(8).hex())

    def bind(self, unbound: socket.socket) -> str:
        """Give a socket a name in here; returns the whole of it. Raises OSError."""
        new = os.path.join(self.path, _NEW, "s")
        address = self.new_path()
        unbound.bind(new)
        os.chmod(new, 0o666)
        os.rename(new, address)
        return address
