"""A lock that is a file: flock(2)."""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress


class FileLock:
    """The lock of a file, and of another one beside it; `launch.locks` says what for.

    All who share it are on one machine. Who only asks whether it is held takes it for a moment, but
    not exclusively, so that two who ask do not find each other.
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

    def tell(self) -> None:
        fd = os.open(self._paths[1], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._files.append(fd)
        # Before the lock: what an earlier one has left there is not to be taken for this.
        _write(fd, self._work)
        _lock(fd, fcntl.LOCK_EX)

    def is_told(self) -> bool:
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
    """What others are told of the supervisor whose child this process is."""
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
