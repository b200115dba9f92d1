"""daphne, serving the project's ASGI application: https://github.com/django/daphne"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import ClassVar, Optional

from . import application
from .base import Address, BaseServerBackend, Problem
from .parsers import by_argparse

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000


class DaphneServer(BaseServerBackend):
    """ARGS are those of `daphne`."""

    requires: ClassVar[Mapping[str, str]] = {"daphne": "daphne"}
    notifies = True

    def prep_server_args(self) -> Sequence[str]:
        return [*self.args, application.asgi()]

    def start_server(self, *args: str) -> None:
        from .hooks import daphne as daphne_hooks

        daphne_hooks.main(args, limit=self.graceful_limit())

    def preload(self) -> None:
        # Not daphne.server, which installs Twisted's reactor: its event loop would be everybody's.
        for module in (
            "daphne.http_protocol",
            "daphne.ws_protocol",
            "twisted.internet.asyncioreactor",
            "twisted.internet.endpoints",
        ):
            import_module(module)
        application.load(application.asgi())

    def problems(self) -> Iterator[Problem]:
        yield from application.problems(application.asgi())

    def parse(self) -> Namespace:
        from .hooks.daphne_parser import parser

        return by_argparse(parser(), self.prep_server_args(), "daphne")

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
            found.append(Address((host, port)))
        return [where for where in found if where is not None]


def _endpoint(description: str) -> Optional[Address]:
    """Where an endpoint of Twisted listens, as far as it is one of TCP, TLS or a Unix socket.

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
        return Address((named.get("interface", ""), int(port)))
    return None
