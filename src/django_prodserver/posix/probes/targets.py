"""Targets: what to probe, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from django_prodserver.posix.address import SocketAddress
from django_prodserver.posix.context import Context
from django_prodserver.supervisor.hints import Optional, Union
from django_prodserver.supervisor.values import Value


class TcpTarget(Value):
    """Healthy once a connection to one of the addresses succeeds; they are tried in order."""

    # As the user wrote it: `localhost:8000`, or `unix:/run/app.sock`.
    name: str
    addresses: Sequence[SocketAddress]


class Tls(Value):
    """How to speak TLS: for which name, and whether the certificate has to be valid for it."""

    name: str
    # True: by the system's CA certificates; a text: by those in this file; False: not at all.
    verify: Union[bool, str] = False


class HttpTarget(Value):
    """Healthy if a GET is answered with a status from 200 to 399; the body is not read."""

    # As in TcpTarget.
    name: str
    addresses: Sequence[SocketAddress]
    # For people: `http://localhost:8000/health?full=1`.
    url: str
    # `/health?full=1`
    path: str
    # The Host header: Django answers 400 to one that is not in its ALLOWED_HOSTS.
    host: str
    tls: Optional[Tls] = None


class CommandTarget(Value):
    """Healthy if the command exits with status 0."""

    argv: Sequence[str]
    # Added to the supervisor's own environment.
    environ: Mapping[str, str] = MappingProxyType({})
    # The user, group and folder it runs with.
    context: Context = Context()


Target = Union[TcpTarget, HttpTarget, CommandTarget]
