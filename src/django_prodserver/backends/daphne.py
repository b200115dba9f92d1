"""daphne, serving the project's ASGI application: https://github.com/django/daphne"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Optional

from .application import ApplicationServer
from .base import BACKLOG, Address, PlainAddress
from .parsers import by_argparse

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000
# Twisted's default for the file of a Unix socket.
DEFAULT_MODE = 0o666


class DaphneServer(ApplicationServer):
    """ARGS are the arguments of `daphne`."""

    requires: ClassVar[Mapping[str, str]] = {"daphne": "daphne"}
    runner = "django_prodserver.backends.hooks.daphne"
    notifies = True
    takes_sockets = True
    pings = False
    interface = "asgi"

    def runner_arguments(self) -> Mapping[str, Any]:
        return {"limit": self.graceful_limit()}

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
            found.append(Address(options.unix_socket, mode=DEFAULT_MODE))
        given = options.host or options.port is not None
        if given or (not any(elsewhere) and options.file_descriptor is None):
            host = (options.host or DEFAULT_HOST).strip("[]")
            port = DEFAULT_PORT if options.port is None else options.port
            found.append(PlainAddress((host, port)))
        return [where for where in found if where is not None]

    def why_own_sockets(self, options: Any) -> str:
        if options.file_descriptor is not None:
            return "'fd' is set"
        for description in options.socket_strings:
            where = _endpoint(description)
            if where is None or where.tls:
                return f"'endpoint' is {description.partition(':')[0]!r}"
        return ""


def _endpoint(description: str) -> Optional[Address]:
    """Where a Twisted endpoint listens; None if it is not TCP, TLS or a Unix socket.

    https://docs.twisted.org/en/stable/core/howto/endpoints.html#servers
    """
    words = description.replace("\\:", "\0").split(":")
    kind, *others = (word.replace("\0", ":") for word in words)
    named = dict(word.partition("=")[::2] for word in others if "=" in word)
    first = next((word for word in others if "=" not in word), "")
    # Twisted's own default is smaller.
    backlog = _number(named.get("backlog", ""), BACKLOG)
    if kind == "unix":
        mode = _number(named.get("mode", ""), DEFAULT_MODE, base=8)
        return Address(named.get("address", first), backlog=backlog, mode=mode)
    port = named.get("port", first)
    if kind in ("tcp", "ssl") and port.isdecimal():
        at = (named.get("interface", ""), int(port))
        return PlainAddress(at, tls=kind == "ssl", backlog=backlog)
    return None


def _number(text: str, default: int, base: int = 10) -> int:
    """The number in a text, or else the default: daphne refuses wrong numbers when it starts."""
    try:
        return int(text, base)
    except ValueError:
        return default
