"""Health checks: from what HEALTHCHECK says to a target to probe."""

from __future__ import annotations

from typing import Optional

from django.conf import settings as project

from django_prodserver.posix.address import SocketAddress, socket_addresses
from django_prodserver.posix.probes.targets import CommandTarget, HttpTarget, Target, TcpTarget
from django_prodserver.settings.findings import ConfigurationError, Finding
from django_prodserver.settings.names import place_of
from django_prodserver.settings.texts import host_and_port, path_or_url

from .addresses import health_address
from .process import ResolvedProcess


def health_target(process: ResolvedProcess) -> Optional[Target]:
    """What to probe; None without a HEALTHCHECK. Raises ConfigurationError for an unknown host.

    A command gets its environment from the instance that it is run for.
    """
    check = process.settings.healthcheck
    if check is None:
        return None
    if check.command is not None:
        return CommandTarget(check.command)
    if check.tcp is not None:
        host, port = host_and_port(check.tcp)
        return TcpTarget(check.tcp, _look_up(process, "TCP", host, port))
    assert check.http is not None
    given = path_or_url(check.http)
    if given.host is not None:
        host, port = given.host, given.port or 80
        host_header = _netloc(host, port).removesuffix(":80")
    else:
        served = health_address(process)
        assert served is not None, "`resolve` refuses a path without an address"
        host, port = served
        host_header = _allowed_host()
    netloc = _netloc(host, port)
    return HttpTarget(
        name=netloc,
        addresses=_look_up(process, "HTTP", host, port),
        url=f"http://{netloc}{given.path}",
        path=given.path,
        host=host_header,
    )


def _look_up(process: ResolvedProcess, key: str, host: str, port: int) -> tuple[SocketAddress, ...]:
    try:
        return socket_addresses((host, port))
    except (OSError, UnicodeError) as error:
        place = place_of(process.name, "HEALTHCHECK", key)
        reason = getattr(error, "strerror", None) or error
        message = f"names the host {host!r}, which cannot be found: {reason}."
        raise ConfigurationError([Finding(place, message, id="E004")]) from None


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _allowed_host() -> str:
    """A name that this project answers to: Django answers 400 to others (ALLOWED_HOSTS)."""
    for host in project.ALLOWED_HOSTS:
        name = host.lstrip(".")
        if name and "*" not in name:
            return str(name)
    return "localhost"
