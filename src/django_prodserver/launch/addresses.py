"""Addresses: where processes will listen, whether they can, and where to connect to them."""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import combinations
from types import MappingProxyType
from typing import Optional

from django_prodserver.backends.base import Address, PrintsOnly
from django_prodserver.posix.address import (
    LONGEST_PATH,
    LOOPBACK,
    UNKNOWN_HOST,
    SocketAddress,
    bind_error,
    bindings,
    collide,
    socket_addresses,
)
from django_prodserver.posix.context import Context, asked_within
from django_prodserver.posix.sockets import passed
from django_prodserver.settings.errors import describe
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.names import place_of
from django_prodserver.settings.schema import ProbeSettings
from django_prodserver.settings.texts import Place, path_or_url

from .holding import holding
from .process import ResolvedProcess, importable_here, probes_of

# A process, and one of the addresses at which it will listen.
Listener = tuple[ResolvedProcess, Address]


# ---- what is known before the start ----


def listeners(processes: Iterable[ResolvedProcess], findings: list[Finding]) -> list[Listener]:
    """The addresses of all processes whose software can be imported here.

    Arguments that the software rejects are added to the findings.
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
    """For each process, by name, the addresses where a successful connection means it is ready.

    Only for backends that have no better way to report readiness (`connects`), and not for held
    sockets, where a connection always succeeds.
    """
    found: dict[str, tuple[SocketAddress, ...]] = {}
    processes = list(processes)
    held = holding(processes)
    for process, address in listeners([one for one in processes if one not in held], []):
        if process.backend_class.connects and not address.chosen_by_the_system:
            with suppress(OSError, UnicodeError):
                found[process.name] = found.get(process.name, ()) + socket_addresses(address.at)
    return found


def probed_address(process: ResolvedProcess) -> Optional[Address]:
    """The first host and port at which this machine can connect to the process.

    If it listens at none, its Unix socket; None if no address is known before the start. May
    import its software: see `importable_here`.
    """
    try:
        return _first_reachable(process.addresses)
    except PrintsOnly:
        return None


def serves_at(process: ResolvedProcess, place: Place) -> bool:
    """Whether this process will listen at `place`, according to its arguments."""
    try:
        return any(conflict(address, Address(place)) for address in process.addresses)
    except PrintsOnly:
        return False


def urls(processes: Iterable[ResolvedProcess]) -> Iterator[tuple[list[str], str]]:
    """For people: names of instances, with a URL to click for each of their addresses."""
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


def address_problems(
    processes: Sequence[ResolvedProcess],
) -> tuple[list[ResolvedProcess], list[Finding]]:
    """What would keep the processes from listening, or their probes from getting an answer.

    Does not include `addresses_in_use`, which changes from one moment to the next. Also returns
    the processes whose software accepts its arguments.
    """
    findings: list[Finding] = []
    found = listeners(processes, findings)
    refused = {finding.place for finding in findings if finding.blocks}
    readable = [
        process
        for process in processes
        if not refused & {place_of(process.name), place_of(process.name, "ARGS")}
    ]
    findings += _impossible_ports(found)
    held = holding(processes)
    findings += _shared_by_instances([one for one in found if one[0] not in held])
    findings += _conflicts(found)
    for process in readable:
        serves = [address for one, address in found if one is process]
        for key, probe in probes_of(process.settings):
            findings += _http_problems(process, key, probe, serves)
    return readable, findings


def addresses_in_use(
    processes: Iterable[ResolvedProcess], contexts: Mapping[str, Context] = MappingProxyType({})
) -> list[Finding]:
    """Addresses that are in use now, or at which the user of the process may not listen.

    `contexts` has the context of each process, by name; one without runs in the current context.
    """
    findings: list[Finding] = []
    processes = list(processes)
    held, given = holding(processes), passed()
    for process, address in listeners(processes, findings):
        if not _is_possible(address):
            continue
        if process in held and any(one.is_for(process.name, address.at) for one in given):
            continue
        # Try these in the current context. For a socket file, the permission to connect to the old
        # one does not matter, since it is replaced. A held socket is bound before its process
        # changes users.
        as_now = isinstance(address.at, str) or process.name not in contexts or process in held
        context = Context() if as_now else contexts[process.name]
        said = asked_within(context, partial(_why_not, address, bool(process.settings.after)))
        if not said:
            continue
        reason, hint = said.split("\n")
        message = f"cannot listen at {address}: {reason}."
        findings.append(Finding(place_of(process.name), message, hint, "E010"))
    return findings


def _why_not(address: Address, something_before: bool) -> str:
    """Why this process cannot listen there, and the hint, in two lines; "" if it can."""
    error = bind_error(address.at, address.shared, address.plain)
    if error is None or (isinstance(error, FileNotFoundError) and something_before):
        return ""  # A process that it comes after may create the folder.
    return "\n".join(_explained(error, address))


def _impossible_ports(found: Iterable[Listener]) -> Iterator[Finding]:
    for process, address in found:
        if not _is_possible(address):
            message = f": {address.at[1]} is not a port."
            hint = "Write a port from 1 to 65535, or 0 for any that is free."
            yield Finding(place_of(process.name, "ARGS"), message, hint)


def _is_possible(address: Address) -> bool:
    return isinstance(address.at, str) or 0 <= address.at[1] <= 65535


def _shared_by_instances(found: Sequence[Listener]) -> Iterator[Finding]:
    """Addresses at which only one of several instances can listen."""
    for process, address in found:
        max_instances = process.settings.max_instances
        if max_instances > 1 and address.exclusive:
            message = f"is {max_instances}, but only one instance can listen at {address}."
            hint = "Let the server have more workers instead, in its ARGS."
            option = process.backend_class.shares_port_with
            if process.settings.sockets == "own" and process.backend_class.takes_sockets:
                hint = "Leave out SOCKETS: then the supervisor holds one socket for all of them."
            elif option and not isinstance(address.at, str):
                hint = f"{hint[:-1]}, or share the port: {option}."
            yield Finding(process.place_of_max, message, hint)


def _conflicts(found: Sequence[Listener]) -> Iterator[Finding]:
    """Addresses at which only one of two processes can listen.

    Sharing the port does not help: each process would get some of the other's requests.
    """
    for (one, here), (other, there) in combinations(found, 2):
        if one is not other and conflict(here, there):
            at = str(here) if here.at == there.at else f"{here} and {there}"
            message = f"and {place_of(other.name)} cannot both listen at {at}."
            hint = "Choose another address in the ARGS of one of them."
            yield Finding(place_of(one.name), message, hint)


def _http_problems(
    process: ResolvedProcess, key: str, probe: ProbeSettings, serves: Sequence[Address]
) -> Iterator[Finding]:
    """Why the server could not answer an HTTP probe, according to its addresses."""
    if probe.http is None:
        return
    asked, place = path_or_url(probe.http), place_of(process.name, key, "HTTP")
    if asked.at is None:
        address = _first_reachable(serves)
        if address is None:
            message = f"is {probe.http!r}, but it is unknown at which host and port the process "
            message += "will listen."
            hint = "Write a whole URL, such as 'http://127.0.0.1:8000/health'."
            yield Finding(place, message, hint, "E004")
            return
        if probe.verify and not address.tls:
            message = f"is set, but the process does not speak TLS at {address}."
            yield Finding(place_of(process.name, key, "VERIFY"), message, "Leave it out.", "E012")
    else:
        there = Address(asked.at)
        address = next((one for one in serves if conflict(one, there)), None)
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


def conflict(here: Address, there: Address) -> bool:
    """Whether only one of two can listen, as far as that is known before the start."""
    if here.chosen_by_the_system or there.chosen_by_the_system:
        return False
    if isinstance(here.at, str) or isinstance(there.at, str):
        # One file can have several names: /var/run is /run.
        return (
            isinstance(here.at, str)
            and isinstance(there.at, str)
            and os.path.realpath(here.at) == os.path.realpath(there.at)
        )
    if here.at[1] != there.at[1] or not _is_possible(here):
        return False
    try:
        return collide(bindings(*here.at, here.plain), bindings(*there.at, there.plain))
    except (OSError, UnicodeError):
        return here.at == there.at


# ---- why an address is not available ----

USE_ANOTHER = "Choose another address in its ARGS."
# What an error of bind(2) means and what to do; see ip(7), tcp(7) and unix(7).
REASONS = {
    errno.EADDRNOTAVAIL: (
        "this machine does not have that address",
        "Listen at 0.0.0.0 for all of its addresses, or at 127.0.0.1 for itself only.",
    ),
    errno.EACCES: (
        "this user cannot use that port",
        "Choose port 1024 or above: lower ports are for root.",
    ),
    errno.EAFNOSUPPORT: ("this machine has no IPv6", "Listen at 0.0.0.0 or 127.0.0.1."),
}
REASONS_OF_PATHS = {
    errno.ENOENT: ("the folder {file} does not exist", "Create it, or choose another path."),
    errno.EACCES: (
        "this user may not write to the folder {file}",
        "Change its owner, or choose another path.",
    ),
    errno.EEXIST: ("a file that is not a socket is there", "Remove it, or choose another path."),
    errno.ENAMETOOLONG: (
        f"the path is longer than {LONGEST_PATH} bytes",
        "Choose a shorter one.",
    ),
}


def _explained(error: Exception, address: Address) -> tuple[str, str]:
    """What is wrong, without a full stop, and what to do."""
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        stop = f"Stop the program that uses it (`{_who_listens(address)}` shows which)"
        return os.strerror(code), f"{stop}, or choose another address in its ARGS."
    if isinstance(address.at, str):
        reason, hint = REASONS_OF_PATHS.get(code or 0, (str(error), USE_ANOTHER))
        return reason.format(file=getattr(error, "filename", "")), hint
    host, _ = address.at
    if isinstance(error, UNKNOWN_HOST):
        return f"the host {host!r} cannot be found", "Name an address that this machine has."
    if code == errno.EADDRNOTAVAIL and host.isdecimal():
        return f"{host!r} is read as a host", f"Write ':{host}' for that port on all addresses."
    return REASONS.get(code or 0, (getattr(error, "strerror", "") or str(error), USE_ANOTHER))


def _who_listens(address: Address) -> str:
    """A command that shows which process listens there."""
    if platform.system() == "Linux":
        return "ss -lxp" if isinstance(address.at, str) else "ss -ltnp"
    return f"lsof {address.at}" if isinstance(address.at, str) else f"lsof -i :{address.at[1]}"
