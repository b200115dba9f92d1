"""The folder of the sockets to which lives report: a socket is reachable only by its address.

An abstract name (unix(7)) needs no folder, but any process on the machine can find it in
/proc/net/unix and keep the queue of the socket full.
"""

from __future__ import annotations

import os
import socket

from .private_folder import SOCKETS, PrivateFolder, temporary

# Sockets are bound in this folder, whose path /proc/net/unix keeps showing, and then moved out.
_NEW = "new"


class SocketFolder(PrivateFolder):
    """A private folder for sockets. Raises OSError if it cannot be created."""

    def __init__(self) -> None:
        super().__init__(SOCKETS, temporary())
        try:
            os.mkdir(os.path.join(self.path, _NEW), 0o700)
        except OSError:
            self.close()
            raise

    def new_path(self) -> str:
        """A path for a file of a life, which cannot be guessed."""
        return os.path.join(self.path, os.urandom(8).hex())

    def bind(self, unbound: socket.socket) -> str:
        """Bind a socket in this folder; return its path. Raises OSError."""
        new = os.path.join(self.path, _NEW, "s")
        address = self.new_path()
        unbound.bind(new)
        os.chmod(new, 0o666)
        os.rename(new, address)
        return address
