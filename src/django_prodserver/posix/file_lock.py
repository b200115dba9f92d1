"""A lock on a file: flock(2)."""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress


class FileLock:
    """The locks on a file and on a second file beside it; `launch.locks` explains their purpose.

    The supervisors that share them are on one machine. To check whether one is held, a supervisor
    takes it for a moment as a shared lock, so that two checks do not take each other for holders.
    """

    def __init__(self, path: str, work: str) -> None:
        self._paths = [path, f"{path}.done"]
        self._work = work
        self._files: list[int] = []

    def take(self) -> bool:
        fd = os.open(self._paths[0], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if not _lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB):
            os.close(fd)
            return False
        self._files.append(fd)
        _write(fd, this_supervisor())
        return True

    def check(self) -> None:
        pass

    def announce_done(self) -> None:
        fd = os.open(self._paths[1], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._files.append(fd)
        # Written before it is locked: otherwise the text of an earlier holder would count as ours.
        _write(fd, self._work)
        _lock(fd, fcntl.LOCK_EX)

    def is_done(self) -> bool:
        return self._is_held(self._paths[1]) and self._text(self._paths[1]) == self._work

    def holder(self) -> str:
        return self._text(self._paths[0]) if self._is_held(self._paths[0]) else ""

    def drop(self) -> None:
        while self._files:
            os.close(self._files.pop())

    def _is_held(self, path: str) -> bool:
        with suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                return not _lock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            finally:
                os.close(fd)
        return False

    def _text(self, path: str) -> str:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1000)


def this_supervisor() -> str:
    """How other supervisors see the supervisor that is the parent of this process."""
    return f"{socket.gethostname()} (pid {os.getppid()})"


def _lock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how)
    except BlockingIOError:
        return False
    return True


def _write(fd: int, text: str) -> None:
    os.truncate(fd, 0)
    os.pwrite(fd, text.encode(), 0)
