"""The peers of servers and workers: a client, and systemd."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


class Request:
    """A GET request that is sent at once, and answered later."""

    def __init__(self, port: int, path: str = "/") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.request("GET", path)

    def answer(self) -> str:
        with self:
            response = self._connection.getresponse()
            assert response.status == 200
            return response.read().decode()

    def __enter__(self) -> Request:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()


def get(port: int, path: str = "/") -> str:
    return Request(port, path).answer()


# WATCHDOG_USEC: short, so that no test waits long.
WATCHDOG = str(10**6)
# In seconds: a loop that runs has pinged by then; one that hangs never does.
SILENCE = 3.0


@dataclass
class Systemd:
    """A service manager that has started a process and receives its notifications."""

    environ: dict[str, str]
    socket: socket.socket

    def hear(self) -> bytes:
        self.socket.settimeout(None)
        return self.socket.recv(100)

    def wait_for_ready(self) -> None:
        while b"READY=1" not in self.hear().splitlines():
            """It has looked for its broker before, and pinged meanwhile."""

    def forget(self) -> None:
        """Drop what was received so far."""
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            while self.socket.recv(100):
                """Each datagram is one message."""

    def hears_nothing(self) -> bool:
        self.forget()
        self.socket.settimeout(SILENCE)
        try:
            self.socket.recv(100)
        except socket.timeout:
            return True
        return False


@contextmanager
def systemd(folder: Path) -> Iterator[Systemd]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(folder / "notify"))
        environ = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": WATCHDOG}
        yield Systemd(environ, listener)
