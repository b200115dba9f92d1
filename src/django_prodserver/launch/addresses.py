"""Addresses: where processes will listen, whether they can, and how to connect to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import combinations
from types import MappingProxyType
from typing import Optional, Union

from django_prodserver.backends.base import Address, PrintsOnly
from django_prodserver.posix.address import SocketAddress, socket_addresses, why_not_free
from django_prodserver.posix.context import Context, asked_within
from django_prodserver.settings.errors import describe
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.names import place_of
from django_prodserver.settings.schema import ProbeSettings
from django_prodserver.settings.texts import Place, path_or_url

from .process import ResolvedProcess, importable_here, probes_of

# Where to connect to a server that listens everywhere.
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}

# A process, and one of the addresses that it will listen at.
Listener = tuple[ResolvedProcess, Address]


# ---- what is known before the start ----


def listeners(processes: Iterable[ResolvedProcess], findings: list[Finding]) -> list[Listener]:
    """Where the processes will listen, as far as their software can be asked here.

    Arguments that it does not understand are added to the findings.
    """
    found = []
    for process in importable_here(processes):
        try:
            found += [(process, address) for address in process.addresses]
        except PrintsOnly:
            continue
        except ValueError as error:
            findings.append(Finding(place_of(process.name, "ARGS"), f": {error}"))
        except Exception as error:
            message = f"cannot be used: {describe(error)}."
            findings.append(Finding(place_of(process.name), message, cause=error))
    return found


def to_connect_to(
    processes: Iterable[ResolvedProcess],
) -> Mapping[str, tuple[SocketAddress, ...]]:
    """For each process, by name, where a connection shows that it is ready.

    Only for backends that have no better way to tell (`connects`).
    """
    found: dict[str, tuple[SocketAddress, ...]] = {}
    asked = [process for process in processes if process.backend_class.connects]
    for process, address in listeners(asked, []):
        if not address.chosen_by_the_system:
            with suppress(OSError, UnicodeError):
                found[process.name] = found.get(process.name, ()) + socket_addresses(address.at)
    return found


def probed_address(process: ResolvedProcess) -> Optional[Address]:
    """The first host and port that it serves, to be connected to from this machine.

    Where it serves none, that is its Unix socket; None where nothing is known before the start.
    This may import its software: see `importable_here`.
    """
    try:
        return _first_reachable(process.addresses)
    except PrintsOnly:
        return None


def serves_at(process: ResolvedProcess, place: Place) -> bool:
    """Whether it is this process that answers there, as far as its arguments tell."""
    try:
        return any(_collide(address, Address(place)) for address in process.addresses)
    except PrintsOnly:
        return False


def urls(processes: Iterable[ResolvedProcess]) -> Iterator[tuple[list[str], str]]:
    """For people: the instances that serve, and a URL to click for each of their addresses."""
    for process, address in listeners(processes, []):
        if process.instances and not address.chosen_by_the_system:
            yield process.instances, _url(address)


def _url(address: Address) -> str:
    if isinstance(address.at, str):
        return f"unix:{address.at}"
    host, port = address.at
    host = LOOPBACK.get(host, host)
    scheme = "https" if address.tls else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


# ---- what is wrong ----


def address_problems(processes: Sequence[ResolvedProcess]) -> list[Finding]:
    """What would keep the processes from listening, or their health checks from connecting.

    That is everything but `addresses_in_use`, which changes from one moment to the next.
    """
    findings: list[Finding] = []
    found = listeners(processes, findings)
    findings += _shared_by_instances(found)
    findings += _conflicts(found)
    for process in processes:
        serves = [address for one, address in found if one is process]
        for key, probe in probes_of(process.settings):
            findings += _http_problems(process, key, probe, serves)
    return findings


def addresses_in_use(
    processes: Iterable[ResolvedProcess], contexts: Mapping[str, Context] = MappingProxyType({})
) -> list[Finding]:
    """Addresses at which something else listens now, or at which their users may not listen.

    `contexts` has those of the processes by their names; without one a process is what this is.
    """
    findings: list[Finding] = []
    for process, address in listeners(processes, findings):
        # Who may connect to a socket file that is to be replaced does not matter.
        as_now = isinstance(address.at, str) or process.name not in contexts
        context = Context() if as_now else contexts[process.name]
        reason = asked_within(context, partial(_why_not_free, address.at, address.shared))
        if reason:
            message = f"cannot listen at {address}: {reason}."
            hint = "Stop what uses it (`ss -ltnp` tells), or choose another address in its ARGS."
            findings.append(Finding(place_of(process.name), message, hint, "E010"))
    return findings


def _why_not_free(at: Union[tuple[str, int], str], shared: bool) -> str:
    return why_not_free(at, shared) or ""


def _shared_by_instances(found: Sequence[Listener]) -> Iterator[Finding]:
    """Addresses that only one of several instances could listen at."""
    for process, address in found:
        replicas = process.settings.replicas
        if replicas > 1 and not address.shared and not address.chosen_by_the_system:
            message = f"is {replicas}, but only one instance can listen at {address}."
            hint = "Let the server have more workers instead, in its ARGS."
            yield Finding(place_of(process.name, "REPLICAS"), message, hint)


def _conflicts(found: Sequence[Listener]) -> Iterator[Finding]:
    """Addresses that only one of two processes could listen at."""
    for (one, here), (other, there) in combinations(found, 2):
        if one is not other and _collide(here, there):
            at = str(here) if here.at == there.at else f"{here} and {there}"
            message = f"and {place_of(other.name)} cannot both listen at {at}."
            hint = "Choose another address in the ARGS of one of them."
            yield Finding(place_of(one.name), message, hint)


def _http_problems(
    process: ResolvedProcess, key: str, probe: ProbeSettings, serves: Sequence[Address]
) -> Iterator[Finding]:
    """What keeps the server from answering an HTTP probe, as far as its addresses tell."""
    if probe.http is None:
        return
    asked, place = path_or_url(probe.http), place_of(process.name, key, "HTTP")
    if asked.at is None:
        address = _first_reachable(serves)
        if address is None:
            message = f"is {probe.http!r}, but it is not known at which host and port the process "
            message += "will listen."
            hint = "Write a whole URL, such as 'http://127.0.0.1:8000/health'."
            yield Finding(place, message, hint, "E004")
            return
        if probe.verify and not address.tls:
            message = f"is set, but the process does not speak TLS at {address}."
            yield Finding(place_of(process.name, key, "VERIFY"), message, "Leave it out.", "E012")
    else:
        there = Address(asked.at)
        address = next((one for one in serves if _collide(one, there)), None)
        if address is None or isinstance(asked.at, str):
            return
        if address.tls is not asked.tls:
            speaks, instead = ("TLS", "https") if address.tls else ("no TLS", "http")
            message = f"is {probe.http!r}, but the process speaks {speaks} at {address}."
            yield Finding(place, message, f"Write {instead}://, or the path alone.", "E012")
            return
    if address.client_certificate:
        message = f"is {probe.http!r}, but the process demands a certificate of its clients, "
        message += "and a probe has none."
        yield Finding(place, message, "Use TCP or COMMAND instead.", "E012")


def _first_reachable(addresses: Iterable[Address]) -> Optional[Address]:
    known = [address for address in addresses if not address.chosen_by_the_system]
    for address in known:
        if not isinstance(address.at, str):
            host, port = address.at
            return address._replace(at=(LOOPBACK.get(host, host), port))
    return next(iter(known), None)


def _collide(here: Address, there: Address) -> bool:
    if here.chosen_by_the_system or there.chosen_by_the_system:
        return False
    if isinstance(here.at, str) or isinstance(there.at, str) or here.at[1] != there.at[1]:
        return here.at == there.at
    hosts = {here.at[0], there.at[0]}
    everywhere = "::" if any(":" in host for host in hosts) else "0.0.0.0"
    return len(hosts) == 1 or everywhere in hosts
