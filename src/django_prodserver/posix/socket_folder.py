"""The folder of the sockets to which lives report: only who knows an address reaches it.

An abstract name (unix(7)) needs no folder, but any process of the machine can find it in
/proc/net/unix and keep its queue full.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress

PREFIX = "prodserver-notify-"
# In it a socket gets its name, which /proc/net/unix goes on to show; then it moves away from here.
_NEW = "new"
# Not what a symbolic link leads to.
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class SocketFolder:
    """A folder of this process, which removes it in the end. Raises OSError if there cannot be one.

    It is private to the user. Under root it can be passed through, but not read: lives may change
    their user (gunicorn does for its workers), to whom nobody can give it beforehand. They know the
    names in it from their environment, which no other user can read, and they cannot be guessed.

    As long as it is used it is locked. What a supervisor leaves behind that is killed is removed by
    its guardian or the next one, and a locked folder is left alone by systemd-tmpfiles(8), too.
    """

    def __init__(self) -> None:
        self._lock = -1
        parent, self.path = _made()
        try:
            root = os.geteuid() == 0
            if root and not _passable(parent):
                raise PermissionError(f"only some users can pass through {parent}")
            self._lock = _locked(self.path)
            _remove_abandoned_in(parent)
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
        _remove(self.path, self._lock)
        self.release()


def _made() -> tuple[str, str]:
    """Make a folder where temporary files go; return that place and the path of the folder.

    The places are those of Python's `tempfile`, in its order. Raises OSError if none will do.
    """
    for parent in _places():
        with suppress(OSError):
            return parent, _made_in(parent)
    raise FileNotFoundError("there is no place for temporary files")


def _places() -> list[str]:
    given = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    places = (*filter(None, given), "/tmp", "/var/tmp", "/usr/tmp", os.curdir)
    return [os.path.abspath(place) for place in places]


def _made_in(parent: str) -> str:
    while True:
        path = os.path.join(parent, PREFIX + os.urandom(4).hex())
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
            return path


def _passable(path: str) -> bool:
    """Whether every user can reach what is in there."""
    path = os.path.realpath(path)
    while os.stat(path).st_mode & 0o001:
        path, inner = os.path.dirname(path), path
        if path == inner:
            return True
    return False


def _locked(path: str) -> int:
    """Lock a folder; returns the descriptor that holds the lock. Raises OSError."""
    lock = os.open(path, _FOLDER)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between its birth and this lock another supervisor may have taken it for abandoned.
        os.stat(path)
    except OSError:
        os.close(lock)
        raise
    return lock


def remove_abandoned() -> None:
    """Remove the folders of supervisors that were killed: nothing holds a lock on them."""
    for place in _places():
        with suppress(OSError):
            _remove_abandoned_in(place)


def _remove_abandoned_in(parent: str) -> None:
    with os.scandir(parent) as entries:
        ours = [entry.path for entry in entries if entry.name.startswith(PREFIX)]
    for path in ours:
        # Another user's, another supervisor's, or gone meanwhile.
        with suppress(OSError):
            if os.lstat(path).st_uid != os.geteuid():
                continue
            lock = _locked(path)
            try:
                _remove(path, lock)
            finally:
                os.close(lock)


def _remove(path: str, folder: int) -> None:
    """Remove a folder, and what is in it if it is open; as far as that is possible."""
    with suppress(OSError):
        if folder >= 0:
            _empty(folder)
        os.rmdir(path)


def _empty(folder: int) -> None:
    for name in os.listdir(folder):
        try:
            os.unlink(name, dir_fd=folder)
        except OSError:
            with suppress(OSError):
                inner = os.open(name, _FOLDER, dir_fd=folder)
                try:
                    _empty(inner)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=folder)
