"""Servers of the project, to compare answers with."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.serverless.requests import Answer, Request, answer
from tests.serverless.runtime_api import PROJECT


class Server:
    """gunicorn, or a program that runs gunicorn in its own process."""

    def __init__(self, log: Path, *words: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as output:
            self.address = listener.getsockname()
            number = listener.fileno()
            # gunicorn takes over its parent's socket, as in an upgrade. Clients that connect before
            # it is ready wait, and no other process can take the port.
            environ = {
                **os.environ,
                "GUNICORN_FD": str(number),
                "GUNICORN_PID": str(os.getpid()),
                "DJANGO_SETTINGS_MODULE": "shop.settings",
                "PYTHONPATH": str(PROJECT),
            }
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words],
                env=environ,
                pass_fds=[number],
                stdout=output,
                stderr=output,
            )

    def ask(self, request: Request) -> Answer:
        with closing(http.client.HTTPConnection(*self.address, timeout=60)) as connection:
            connection.putrequest(
                request.method, request.target, skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.all_headers:
                connection.putheader(name, value)
            connection.endheaders(request.body or None)
            with connection.getresponse() as response:
                body = response.read()
        return answer(response.status, response.getheaders(), body)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
