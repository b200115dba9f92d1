"""What Lambda has on the other side of a function: the Runtime API, and the process that asks it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

PROJECT = Path(__file__).parent / "project"
HANDLER = "django_prodserver.serverless.aws.handler"
VERSION = "/2018-06-01/runtime"


class TimedOut(Exception):
    """The deadline has passed, and the process was killed."""


class Function:
    """A function as Lambda runs it: one process, one event at a time."""

    def __init__(self, log: Path, **environ: str) -> None:
        self.environ, self.log = environ, log
        self.events: queue.Queue[Optional[tuple[str, bytes, float]]] = queue.Queue()
        # What the process posts: the path and the document.
        self.posted: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._requests())
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.process: Optional[subprocess.Popen[bytes]] = None
        self.invocations = 0

    def __enter__(self) -> Function:
        self.thread.start()
        self.start()
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.kill()
        self.events.put(None)
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def start(self) -> None:
        host, port = self.server.server_address[:2]
        environ = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "PYTHONPATH": str(PROJECT),
            "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}",
            "AWS_LAMBDA_FUNCTION_NAME": "shop",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/shop",
            "AWS_LAMBDA_LOG_STREAM_NAME": "1",
            **self.environ,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "awslambdaric", HANDLER],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """While it waits for an event it ignores SIGTERM, and so Lambda kills it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def invoke(self, event: object, limit: float = 20) -> Any:
        """What the function answers. Raises TimedOut after `limit` seconds, as Lambda does."""
        kind, document = self.invoke_raw(event, limit)
        assert kind == "response", document
        return document

    def invoke_raw(self, event: object, limit: float = 20) -> tuple[str, Any]:
        """`response` or `error`, and its document."""
        self.invocations += 1
        name = f"event-{self.invocations}"
        self.events.put((name, json.dumps(event).encode(), time.time() + limit))
        try:
            path, document = self.posted.get(timeout=limit)
        except queue.Empty:
            self.kill()
            self.start()
            raise TimedOut(f"Task timed out after {limit:.2f} seconds") from None
        kind = path.rpartition("/")[2]
        assert path == f"{VERSION}/invocation/{name}/{kind}"
        return kind, document

    def _requests(self) -> type[BaseHTTPRequestHandler]:
        function = self

        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                assert self.path == f"{VERSION}/invocation/next"
                event = function.events.get()
                if event is None:
                    self.close_connection = True
                    return
                name, body, deadline = event
                self.answer(
                    200,
                    body,
                    {
                        # Without a type, the client ends by a segmentation fault.
                        "Content-Type": "application/json",
                        "Lambda-Runtime-Aws-Request-Id": name,
                        "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:x:1:function:shop",
                    },
                )

            def do_POST(self) -> None:
                length = self.headers["Content-Length"]
                body = self.rfile.read(int(length)) if length else self.chunks()
                # Answered first: what is invoked next must not wait for this one.
                self.answer(202, b"{}", {})
                function.posted.put((self.path, json.loads(body)))

            def chunks(self) -> bytes:
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Requests
