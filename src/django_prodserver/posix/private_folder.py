"""Private folders of one supervisor, among the temporary files.

Such a folder is locked while it is in use. If a supervisor is killed, its guardian or the next
supervisor removes its folders. systemd-tmpfiles(8) leaves locked folders alone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress

from .control.place import folders

SOCKETS, METRICS = "prodserver-notify-", "prodserver-metrics-"
# Never follows a symbolic link.
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class PrivateFolder:
    """A folder that this process creates, and removes on `close`. Raises OSError.

    It is in the first usable one of `places`, and private to the user. A folder of root can be
    passed through by other users, but not listed: lives may change their user (gunicorn does for
    its workers), and that user is not known beforehand. They know the names in it from their
    environment, which no other user can read, and the names cannot be guessed.
    """

    def __init__(self, prefix: str, places: Iterable[str]) -> None:
        self._lock = -1
        parent, self.path = _made(prefix, places)
        try:
            root = os.geteuid() == 0
            if root and not _passable(parent):
                raise PermissionError(f"not all users can enter {parent}")
            self._lock = _locked(self.path)
            _remove_abandoned_in(parent)
            if root:
                os.chmod(self.path, 0o711)
        except OSError:
            self.close()
            raise

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def close(self) -> None:
        _remove(self.path, self._lock)
        self.release()


def temporary() -> list[str]:
    """Where temporary files go: the places of Python's `tempfile`, in its order."""
    given = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    places = (*filter(None, given), "/tmp", "/var/tmp", "/usr/tmp", os.curdir)
    return [os.path.abspath(place) for place in places]


def runtime() -> list[str]:
    """Where the folders of control sockets are."""
    return [os.path.dirname(folder) for folder in folders(os.environ, os.geteuid())]


def reachable(places: Iterable[str]) -> list[str]:
    """The places that lives with another user can reach; all of them unless this user is root."""
    return [one for one in places if os.geteuid() or (os.path.isdir(one) and _passable(one))]


def remove_abandoned() -> None:
    """Remove the folders of supervisors that were killed: no process holds a lock on them."""
    for place in dict.fromkeys((*temporary(), *runtime())):
        with suppress(OSError):
            _remove_abandoned_in(place)


def _made(prefix: str, places: Iterable[str]) -> tuple[str, str]:
    """Make a folder; return its place and its path. Raises OSError if no place is usable."""
    for parent in places:
        with suppress(OSError):
            return parent, _made_in(parent, prefix)
    raise FileNotFoundError("no folder for temporary files was found")


def _made_in(parent: str, prefix: str) -> str:
    while True:
        path = os.path.join(parent, prefix + os.urandom(4).hex())
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
            return path


def _passable(path: str) -> bool:
    """Whether every user can pass through this folder and all folders above it."""
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
        # Before it was locked, another supervisor may have removed it as abandoned.
        os.stat(path)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove_abandoned_in(parent: str) -> None:
    with os.scandir(parent) as entries:
        ours = [entry.path for entry in entries if entry.name.startswith((SOCKETS, METRICS))]
    for path in ours:
        # It may be another user's, locked by another supervisor, or gone by now.
        with suppress(OSError):
            if os.lstat(path).st_uid != os.geteuid():
                continue
            lock = _locked(path)
            try:
                _remove(path, lock)
            finally:
                os.close(lock)


def _remove(path: str, folder: int) -> None:
    """Remove a folder, and its content if it is open, as far as possible."""
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
