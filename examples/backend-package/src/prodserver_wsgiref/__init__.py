"""The standard library's WSGI server as a backend of django-prodserver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from wsgiref.simple_server import make_server

from django.core.wsgi import get_wsgi_application

from django_prodserver.backends.base import Address, BaseServerBackend, Problem, notify


class WsgirefServer(BaseServerBackend):
    """The standard library's WSGI server; ARGS is one string, host:port."""

    # SIGTERM would end it in the middle of a response.
    stop_signal = "SIGINT"
    notifies = True
    pings = False

    def start_server(self, *args: str) -> None:
        with make_server(*host_and_port(args[0]), get_wsgi_application()) as server:
            notify()
            server.serve_forever()

    def preload(self) -> None:
        get_wsgi_application()

    def problems(self) -> Iterator[Problem]:
        if len(self.args) != 1:
            yield Problem("ARGS", "must be one address.", "Write '127.0.0.1:8000'.")

    def parse(self) -> tuple[str, int]:
        return host_and_port(self.args[0])

    def addresses(self) -> Sequence[Address]:
        return [Address(self.parse())]


def host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.partition(":")
    if not port.isdecimal():
        raise ValueError(f"{address!r} is not host:port.")
    return host, int(port)
