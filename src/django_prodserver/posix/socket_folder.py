"""The folder of the sockets to which lives report: whoever is told an address reaches it, no other.

An abstract name (unix(7)) needs no folder, but any process of the machine can find it in
/proc/net/unix and keep its queue full.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "prodserver-notify-"
# In it a socket gets its name, which /proc/net/unix goes on to show; then it moves away from here.
_NEW = "new"


class SocketFolder:
    """A folder of this process, which removes it in the end. Raises OSError if there cannot be one.

    It is private to the user. Under root it can be passed through, but not read: lives may change
    their user (gunicorn does for its workers), to whom nobody can give it beforehand. They know
    the names in it from their environment, which no other user can read, and nobody can guess them.

    As long as it is used it is locked. What a supervisor leaves behind that is killed is removed by
    the next one, and a locked folder is left alone by systemd-tmpfiles(8), too.
    """

    def __init__(self) -> None:
        parent = tempfile.gettempdir()
        root = os.geteuid() == 0
        if root and not _passable(Path(parent)):
            raise PermissionError(f"only some users can pass through {parent}")
        _remove_abandoned(parent)
        self.path = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        self._lock = -1
        try:
            self._lock = _locked(self.path)
            os.mkdir(os.path.join(self.path, _NEW), 0o700)
            if root:
                os.chmod(self.path, 0o711)
        except OSError:
            self.close()
            raise

    def bind(self, unbound: socket.socket) -> str:
        """Give a socket a name in here; returns the whole of it. Raises OSError."""
        new = os.path.join(self.path, _NEW, "s")
        address = os.path.join(self.path, os.urandom(8).hex())
        unbound.bind(new)
        os.chmod(new, 0o666)
        os.rename(new, address)
        return address

    def release(self) -> None:
        """In a forked child: give back what belongs to the supervisor."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()


def _passable(path: Path) -> bool:
    """Whether every user can reach what is in there."""
    return all(place.stat().st_mode & 0o001 for place in (path, *path.resolve().parents))


def _locked(path: str) -> int:
    """Lock a folder; returns the descriptor that holds the lock. Raises OSError."""
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between its birth and this lock another supervisor may have taken it for abandoned.
        os.stat(path)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove_abandoned(parent: str) -> None:
    """Remove the folders of supervisors that were killed: nobody holds a lock on them."""
    with os.scandir(parent) as entries:
        ours = [entry.path for entry in entries if entry.name.startswith(PREFIX)]
    for path in ours:
        # Another user's, another supervisor's, or gone meanwhile.
        with suppress(OSError):
            if os.lstat(path).st_uid != os.geteuid():
                continue
            lock = _locked(path)
            try:
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
