"""A fake supervisor, which gives the answers that the test sets at a control socket."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Optional

NEVER = "2026-11-26T12:00:00.000Z"


def instance(name: str, state: str = "RUNNING", **others: Any) -> dict[str, Any]:
    """An instance, as in the status."""
    runs = state in ("RUNNING", "STARTING", "STOPPING")
    return {
        "name": name,
        "goal": "down" if state == "STOPPED" else "up",
        "state": state,
        "as_wanted": state in ("RUNNING", "STOPPED"),
        "changed": None,
        "restarts": 0,
        "updating": False,
        "reason": None,
        "message": None,
        "next_start_at": None,
        "pid": 1234 if runs else None,
        "started_at": NEVER if runs else None,
        "cpu_seconds": None,
        "memory_bytes": 1 << 20 if runs else None,
        **others,
    }


def process(name: str, *instances: dict[str, Any]) -> dict[str, Any]:
    """A process, as in the status; by default with one running instance."""
    return {"name": name, "instances": list(instances) or [instance(f"{name}.1")]}


class FakeSupervisor:
    """Its answers may be changed at any time; `asked` has the changes that were requested."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.status: Any = {
            "api": 1,
            "pid": 0,  # In another PID namespace: the usage of its processes comes from the status.
            "project": "/srv/shop",
            "phase": "running",
            "processes": [process("web"), process("worker")],
        }
        self.lines: list[dict[str, Any]] = []
        self.asked: list[tuple[str, Any]] = []
        # The outcome of a request, or why it is refused.
        self.change: dict[str, Any] = {"change": 7, "state": "done", "message": None}
        self.refusal: Optional[tuple[int, str, str]] = None
        self.name_of_log: Optional[str] = None

    def of(self, *processes: dict[str, Any]) -> None:
        self.status["processes"] = list(processes)

    def answer(self, method: str, target: str, body: Any) -> tuple[int, bytes]:
        path, _, query = target.partition("?")
        if path == "/v1/status":
            return 200, _json(self.status)
        if path == "/v1/logs":
            self.name_of_log = query.partition("names=")[2]
            return 200, b"".join(_json(line) + b"\n" for line in self.lines)
        if method == "GET":
            return 200, _json(self.change)
        self.asked.append((path, body))
        if self.refusal is not None:
            status, code, message = self.refusal
            return status, _json({"error": {"code": code, "message": message}})
        return 202, _json({**self.change, "state": "running"})

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen at its path while the context lasts."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length) or b"null")
                status, answer = fake.answer(self.command, self.path, body)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = answer

            def log_message(self, *args: object) -> None:
                pass

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        with Server(str(self.path), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()
        self.path.unlink()


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()
