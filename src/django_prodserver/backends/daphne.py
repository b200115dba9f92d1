"""daphne, serving the project's ASGI application: https://github.com/django/daphne"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import ClassVar, Optional

from .application import ApplicationServer
from .base import Address, PlainAddress
from .parsers import by_argparse

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000


class DaphneServer(ApplicationServer):
    """ARGS are those of `daphne`."""

    requires: ClassVar[Mapping[str, str]] = {"daphne": "daphne"}
    notifies = True
    pings = False
    interface = "asgi"

    def start_server(self, *args: str) -> None:
        from .hooks import daphne as hooks

        hooks.run(args, limit=self.graceful_limit())

    def preload(self) -> None:
        from .hooks import daphne as hooks

        hooks.preload()
        super().preload()

    def parse(self) -> Namespace:
        from .hooks import daphne as hooks

        return by_argparse(hooks.parser(), self.prep_server_args(), "daphne")

    def addresses(self) -> Sequence[Address]:
        options = self.parse()
        elsewhere = [options.unix_socket, options.socket_strings]
        found = [_endpoint(description) for description in options.socket_strings]
        if options.unix_socket:
            found.append(Address(options.unix_socket))
        given = options.host or options.port is not None
        if given or (not any(elsewhere) and options.file_descriptor is None):
            host = (options.host or DEFAULT_HOST).strip("[]")
            port = DEFAULT_PORT if options.port is None else options.port
            found.append(PlainAddress((host, port)))
        return [where for where in found if where is not None]


def _endpoint(description: str) -> Optional[Address]:
    """Where an endpoint of Twisted listens; None if it is not TCP, TLS or a Unix socket.

    https://docs.twisted.org/en/stable/core/howto/endpoints.html#servers
    """
    words = description.replace("\\:", "\0").split(":")
    kind, *others = (word.replace("\0", ":") for word in words)
    named = dict(word.partition("=")[::2] for word in others if "=" in word)
    first = next((word for word in others if "=" not in word), "")
    if kind == "unix":
        return Address(named.get("address", first))
    port = named.get("port", first)
    if kind in ("tcp", "ssl") and port.isdecimal():
        return PlainAddress((named.get("interface", ""), int(port)), tls=kind == "ssl")
    return None
