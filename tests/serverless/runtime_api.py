"""Lambda's side of a function: the Runtime API, and the process that polls it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Optional, Union

import h11

PROJECT = Path(__file__).parent / "project"
HANDLER = "django_prodserver.serverless.aws.handler"
OF_THE_PROJECT = {"DJANGO_SETTINGS_MODULE": "shop.settings", "PYTHONPATH": str(PROJECT)}
VERSION = "/2018-06-01/runtime"
# Far longer than anything here takes, even on a busy machine.
LONG = 60.0


# Returns the command that runs a function, given its environment variables.
Command = Callable[[Mapping[str, str]], list[str]]


class TimedOut(Exception):
    """The deadline has passed, and the process was killed."""


class Ended(Exception):
    """The process exited on its own. The message has its output."""


class Function:
    """A function as Lambda runs it: one process, one event at a time.

    The process asks for an event, then posts the answer, so one thread can serve both: `invoke`
    waits for the first request, then for the second, or for the process to exit.
    """

    def __init__(self, log: Path, command: Optional[Command] = None, **environ: str) -> None:
        self.log = log
        self.listener = socket.create_server(("127.0.0.1", 0))
        host, port = self.listener.getsockname()
        # Variables that Lambda sets, then those of the function's configuration.
        self.environ = {
            "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}",
            "AWS_LAMBDA_FUNCTION_NAME": "shop",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/shop",
            "AWS_LAMBDA_LOG_STREAM_NAME": "1",
            **environ,
        }
        self.command = command(self.environ) if command else None
        self.invocations = 0

    def __enter__(self) -> Function:
        self.start()
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.kill()
        self.listener.close()

    def start(self) -> None:
        # The other end is the stdin of the process: this end reads EOF when the process exits.
        self.alive, theirs = socket.socketpair()
        with theirs, self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command or [sys.executable, "-m", "awslambdaric", HANDLER],
                env={**os.environ, **OF_THE_PROJECT, **self.environ},
                stdin=theirs,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill it as Lambda does: while it waits for an event it ignores SIGTERM."""
        # The whole process group, in case the command started it in namespaces of its own.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.alive.close()

    def invoke(self, event: object, limit: float = LONG) -> Any:
        """Return the function's answer. Raises TimedOut after `limit` seconds."""
        kind, document = self.invoke_raw(event, limit)
        assert kind == "response", document
        return document

    def invoke_raw(self, event: object, limit: float = LONG) -> tuple[str, Any]:
        """Return `response` or `error`, and the document."""
        self.invocations += 1
        name = f"event-{self.invocations}"
        with self.asked() as asked:
            assert asked.target == f"{VERSION}/invocation/next"
            asked.answer(
                200,
                json.dumps(event).encode(),
                {
                    # Without a content type, the runtime client dies of a segmentation fault.
                    "Content-Type": "application/json",
                    "Lambda-Runtime-Aws-Request-Id": name,
                    "Lambda-Runtime-Deadline-Ms": str(int((time.time() + limit) * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:x:1:function:shop",
                },
            )
        target, document = self.posted(limit)
        path, _, kind = target.rpartition("/")
        assert path == f"{VERSION}/invocation/{name}"
        return kind, document

    def posted(self, limit: float = LONG) -> tuple[str, Any]:
        """Return the path and the document of the next POST of the process."""
        with self.asked(limit) as asked:
            asked.answer(202, b"{}", {"Content-Type": "application/json"})
            return asked.target, json.loads(asked.body)

    def asked(self, limit: float = LONG) -> Asked:
        ready, _, _ = select.select([self.listener, self.alive], [], [], limit)
        if self.listener in ready:
            return Asked(self.listener.accept()[0])
        if self.alive in ready:
            said = self.log.read_text(encoding="utf-8", errors="replace")
            raise Ended(f"with {self.process.wait()}, and wrote:\n{said}")
        self.kill()
        self.start()
        raise TimedOut(f"Task timed out after {limit:.2f} seconds")


class Asked:
    """A request to the Runtime API. Each has its own connection, so that no state is kept here."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(LONG)
        self.connection = connection
        self.http = h11.Connection(h11.SERVER)
        request, *parts, _ = self._events()
        self.target = request.target.decode()
        self.body = b"".join(part.data for part in parts)

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        headers = {**headers, "Content-Length": str(len(body)), "Connection": "close"}
        start = h11.Response(status_code=status, headers=[*headers.items()])
        sent = [self.http.send(event) for event in (start, h11.Data(data=body), h11.EndOfMessage())]
        self.connection.sendall(b"".join(part or b"" for part in sent))

    def _events(self) -> list[Any]:
        events: list[Union[h11.Event, type[h11.NEED_DATA]]] = []
        while not events or not isinstance(events[-1], h11.EndOfMessage):
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                self.http.receive_data(self.connection.recv(65536))
            else:
                events.append(event)
        return events
