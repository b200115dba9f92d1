"""`manage.py prodserver` of a project with real servers and workers."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from django_prodserver import test
from tests.functional.helpers import Processes, Run, Runs

ROOT = Path(__file__).parent.parent
PROJECT = Path(__file__).parent / "project"
QUICKSTART = ROOT / "examples" / "quickstart"

SHELL = "django_prodserver.backends.command.ShellCommand"

# Warnings of the servers themselves are not ours to mend.
LENIENT = ("-W", "ignore", "manage.py", "prodserver")


class Site(Runs):
    """Starts runs in a copy of tests/project, whose settings are for servers and workers too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT, self.project, ignore=ignore, dirs_exist_ok=True)
        shutil.copy(QUICKSTART / "quickstart" / "compat.py", self.project)

    def __call__(self, processes: Processes, *options: str, **kwargs: Any) -> Run:
        kwargs.setdefault("program", LENIENT)
        return super().__call__(processes, *options, **kwargs)

    def running(
        self, processes: Processes, *names: str, **kwargs: Any
    ) -> AbstractContextManager[test.Run]:
        kwargs.setdefault("command", [sys.executable, *LENIENT[:-1]])
        return super().running(processes, *names, **kwargs)

    def send(self, *work: tuple[str, list[str], str], **kwargs: Any) -> None:
        """Migrate, and put work into the queues: task, arguments, Celery's queue if it has one."""
        program = ("-W", "ignore", "manage.py", "send")
        processes = {"any": {"BACKEND": SHELL, "ARGS": "true"}}
        assert self(processes, json.dumps(work), program=program, **kwargs).end() == 0

    def call(self, function: str, *args: Any, **kwargs: Any) -> None:
        """Migrate, and call a function of the project, by its dotted path, in a process."""
        program = ("-W", "ignore", "manage.py", "call")
        processes = {"any": {"BACKEND": SHELL, "ARGS": "true"}}
        run = self(processes, function, json.dumps(args), program=program, **kwargs)
        assert run.end() == 0, run.stderr

    def hold(self, *names: str) -> None:
        """Let the work of these names be in hand until it is released."""
        for name in names:
            os.mkfifo(self.project / f"{name}.fifo")

    def release(self, name: str) -> None:
        with open(self.project / f"{name}.fifo", "w"):
            pass


class Request:
    """A GET request that is sent at once, and answered some time."""

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


def wait_for_all(run: Run, *lines: tuple[str, str]) -> None:
    """Read on until each (name, pattern) has come, in any order; as often as it is given."""
    waiting = list(lines)
    while waiting:
        line = run.read()
        assert line is not None, f"never said: {waiting}\n" + "\n".join(run.raw)
        found = [x for x in waiting if x[0] == line.name and re.search(x[1], line.text)]
        if found:
            waiting.remove(found[0])


def wait_for_each_of(run: Run, *patterns: str) -> None:
    """Read on until each has been said, in any order and by whomever."""
    waiting = set(patterns)
    while waiting:
        line = run.read()
        assert line is not None, f"never said: {waiting}\n" + "\n".join(run.raw)
        waiting -= {pattern for pattern in waiting if re.search(pattern, line.text)}


def get(port: int, path: str = "/") -> str:
    return Request(port, path).answer()


# As WATCHDOG_USEC has it: short, so that nobody waits for long.
WATCHDOG = str(10**6)
# In seconds: a loop that turns has pinged by then; one that hangs never does.
SILENCE = 3.0


@dataclass
class Systemd:
    """Somebody who has started a process, and wants to hear of it."""

    environ: dict[str, str]
    socket: socket.socket

    def hear(self) -> bytes:
        self.socket.settimeout(None)
        return self.socket.recv(100)

    def wait_for_ready(self) -> None:
        while b"READY=1" not in self.hear().splitlines():
            """It has looked for its broker before, and pinged meanwhile."""

    def forget(self) -> None:
        """Whatever was said until now."""
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


@pytest.fixture(name="site")
def site_fixture(tmp_path: Path) -> Iterator[Site]:
    """Start `manage.py prodserver` in a project of its own; afterwards nobody is left."""
    yield from sites(tmp_path)


def sites(folder: Path) -> Iterator[Site]:
    started = Site(folder)
    yield started
    left = started.close()
    assert not left, f"left behind: {', '.join(left)}"
