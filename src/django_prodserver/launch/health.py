"""Turn READY and HEALTHCHECK into the targets of probes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Optional, TypedDict

from django.conf import settings as project

from django_prodserver.posix.address import SocketAddress, socket_addresses
from django_prodserver.posix.probes.running import prepare
from django_prodserver.posix.probes.targets import (
    CommandTarget,
    HttpTarget,
    Target,
    TcpTarget,
    Tls,
)
from django_prodserver.settings.findings import ConfigurationError, Finding
from django_prodserver.settings.names import place_of
from django_prodserver.settings.schema import ProbeSettings
from django_prodserver.settings.texts import Place, path_or_url, tcp_address

from .addresses import probed_address
from .process import ResolvedProcess, probes_of


class ProbeTargets(TypedDict):
    ready: Optional[Target]
    health: Optional[Target]


def probe_targets(process: ResolvedProcess) -> ProbeTargets:
    """The targets of its READY and its HEALTHCHECK; None if there is nothing to probe.

    Raises ConfigurationError for an unknown host, and for certificates that cannot be read. Imports
    the modules that the probes need, so that the supervisor's loop imports nothing.
    """
    found = {key: _target(process, key, probe) for key, probe in probes_of(process.settings)}
    return {"ready": found.get("READY"), "health": found.get("HEALTHCHECK")}


def target_problems(processes: Iterable[ResolvedProcess]) -> Iterator[Finding]:
    """The findings that `probe_targets` raises, for all processes."""
    for process in processes:
        try:
            probe_targets(process)
        except ConfigurationError as error:
            yield from error.findings


def _target(process: ResolvedProcess, key: str, probe: ProbeSettings) -> Optional[Target]:
    """The target of one probe. A command gets the environment of the instance that it probes."""
    if probe.command is not None:
        return CommandTarget(probe.command)
    if probe.tcp is not None:
        place = place_of(process.name, key, "TCP")
        return TcpTarget(probe.tcp, _look_up(place, _from_here(process, tcp_address(probe.tcp))))
    if probe.http is None:
        return None
    target = _http_target(process, place_of(process.name, key, "HTTP"), probe, probe.http)
    try:
        prepare(target)
    except OSError as error:
        reason = error.strerror or getattr(error, "reason", None) or error
        message = f"is {probe.verify!r}, which cannot be used: {reason}."
        hint = "Name a file with CA certificates in PEM format."
        place = place_of(process.name, key, "VERIFY")
        raise ConfigurationError([Finding(place, message, hint, "E004")]) from None
    return target


def _http_target(
    process: ResolvedProcess, place: str, probe: ProbeSettings, http: str
) -> HttpTarget:
    given = path_or_url(http)
    tls = given.tls
    if given.at is None:
        served = probed_address(process)
        assert served is not None, "`resolve` refuses a path without an address"
        at, tls = served.at, served.tls
    else:
        at = _from_here(process, given.at)
    scheme, port = ("https", ":443") if tls else ("http", ":80")
    name = f"unix:{at}" if isinstance(at, str) else _netloc(*at)
    # The host name in the request, and the one that the certificate must have.
    if given.at is None or isinstance(given.at, str):
        host = certified = allowed_host()
    else:
        host, certified = name.removesuffix(port), given.at[0]
    return HttpTarget(
        name=name,
        addresses=_look_up(place, at),
        url=f"{name}:{given.path}" if isinstance(at, str) else f"{scheme}://{name}{given.path}",
        path=given.path,
        host=host,
        tls=Tls(certified, probe.verify) if tls else None,
    )


def _from_here(process: ResolvedProcess, at: Place) -> Place:
    return process.from_here(at) if isinstance(at, str) else at


def _look_up(place: str, at: Place) -> tuple[SocketAddress, ...]:
    try:
        return socket_addresses(at)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"names the host {at[0]!r}, which cannot be found: {reason}."
        raise ConfigurationError([Finding(place, message, id="E004")]) from None


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def allowed_host() -> str:
    """A host name from ALLOWED_HOSTS; Django responds with 400 to any other."""
    for host in project.ALLOWED_HOSTS:
        name = host.lstrip(".")
        if name and "*" not in name:
            return str(name)
    return "localhost"
