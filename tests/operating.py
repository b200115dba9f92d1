"""How tests talk to a supervisor: with `prodctl`, and through its control socket."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from django_prodserver.posix.control.place import reachable
from tests.running import Run, Runs, not_measured

PRODCTL = (sys.executable, "-W", "error", "-m", "django_prodserver.prodctl.main")
AS_USER = """
import difflib, os, sys, urllib.parse
from django_prodserver.prodctl import usage
from django_prodserver.prodctl.main import main
from django_prodserver.prodctl.parser import parser
parser("").format_help()
uid = int(sys.argv[1])
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
sys.exit(main(sys.argv[2:]))
"""
# In seconds: the longest wait for an answer; after that the test fails.
PATIENCE = 60.0


class Done(NamedTuple):
    """The result of a command."""

    status: int
    stdout: str
    stderr: str


class Answer(NamedTuple):
    """An answer of the supervisor."""

    status: int
    head: str
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[str, str]:
        error = self.document["error"]
        return error["code"], error["message"]


class Socket:
    """A control socket; a client of whatever answers there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        with reachable(str(self.path)) as address:
            connection.connect(address)
        connection.settimeout(PATIENCE)
        return connection

    def send(self, data: bytes) -> Answer:
        """Send these bytes, and read to the end."""
        with self.connect() as connection:
            connection.sendall(data)
            return answer_of(connection)

    def get(self, target: str) -> Answer:
        return self.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def post(self, target: str, document: object) -> Answer:
        return self.send(post(target, json.dumps(document).encode()))

    def change(self, target: str, document: object) -> Any:
        """Request a change, wait until it is finished, and return it."""
        answer = self.post(target, document)
        assert answer.status == 202, answer
        return self.get(f"/v1/changes/{answer.document['change']}?wait=60").document

    @property
    def status(self) -> Any:
        return self.get("/v1/status").document

    def instances(self) -> dict[str, Any]:
        """The instances of the status, by name."""
        return {
            one["name"]: one for process in self.status["processes"] for one in process["instances"]
        }


def post(target: str, body: bytes, kind: str = "application/json") -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def answer_of(connection: socket.socket) -> Answer:
    data = b""
    while chunk := connection.recv(1 << 16):
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    match = re.match(rb"HTTP/1\.1 (\d+) ", head)
    assert match, data
    return Answer(int(match[1]), head.decode(), _unchunked(body) if b"chunked" in head else body)


def _unchunked(body: bytes) -> bytes:
    parts = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        parts += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return parts


def sockets(runs: Runs) -> list[Path]:
    """The control sockets of the supervisors that these runs have started, including stale ones."""
    return sorted(runs.runtime.glob("prodserver/*.sock"))


def socket_of(runs: Runs) -> Socket:
    """The only control socket."""
    (path,) = sockets(runs)
    return Socket(path)


def prodctl(
    runs: Runs,
    *words: str,
    env: Mapping[str, str] = {},
    cwd: Optional[Path] = None,
    prefix: Sequence[str] = (),
    uid: Optional[int] = None,
) -> Done:
    """Run prodctl as a user does in the folder of the project.

    A user with another `uid` may not be able to read Python's files, so prodctl is imported first.
    """
    command = PRODCTL if uid is None else (*PRODCTL[:-2], "-c", AS_USER, str(uid))
    folder = runs.project if cwd is None else cwd
    environ = {
        **(os.environ if uid is None else not_measured()),
        "XDG_RUNTIME_DIR": str(runs.runtime),
        "PWD": str(folder),
        **env,
    }
    done = subprocess.run(
        [*prefix, *command, *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def pids(run: Run, socket: Socket) -> dict[str, Optional[int]]:
    """The pid of each instance."""
    return {name: one["pid"] for name, one in socket.instances().items()}
