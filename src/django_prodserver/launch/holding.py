"""Held sockets: for which processes the supervisor binds them, and at which addresses."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from django_prodserver.backends.base import Address, PrintsOnly
from django_prodserver.posix.address import Listener, bindings
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.names import place_of

from .process import ResolvedProcess, importable_here


def holding(processes: Iterable[ResolvedProcess]) -> list[ResolvedProcess]:
    """The processes whose addresses the supervisor binds."""
    return [process for process, why in _with_reasons(processes) if not why]


def why_own_sockets(
    processes: Iterable[ResolvedProcess],
) -> Iterator[tuple[ResolvedProcess, str]]:
    """The servers that bind their addresses themselves, each with the reason."""
    for process, why in _with_reasons(processes):
        if why and (process.backend_class.takes_sockets or _addresses(process)):
            yield process, why


def listeners_of(process: ResolvedProcess) -> Sequence[Listener]:
    """The sockets to bind for a process that is among `holding`.

    Empty if a host cannot be looked up, or no longer: the software will report that.
    """
    try:
        return [_listener(address) for address in process.addresses]
    except (OSError, UnicodeError):
        return ()


def problems(processes: Sequence[ResolvedProcess]) -> Iterator[Finding]:
    """Values of SOCKETS and UPDATE_ORDER that are not possible."""
    for process, why in _with_reasons(processes):
        given, name = process.settings, process.name
        if given.sockets == "held" and why:
            message = f"is 'held', but that cannot be: {why}."
            yield Finding(place_of(name, "SOCKETS"), message, "Leave it out.", "E012")
        if given.update_order != "start-first":
            continue
        place = place_of(name, "UPDATE_ORDER")
        at = next((one for one in _addresses(process) if one.exclusive), None)
        if process.backend_class.singleton:
            message = "is 'start-first', but two instances at once would do all work twice."
            yield Finding(place, message, "Leave it out.", "E012")
        elif at is not None and why:
            message = f"is 'start-first', but only one instance can listen at {at}."
            yield Finding(place, message, "Write 'stop-first', or leave it out.", "E012")


def starts_first(process: ResolvedProcess, held: bool) -> bool:
    order = process.settings.update_order
    if process.settings.singleton:
        return False
    return order == "start-first" or (order == "auto" and held)


def _with_reasons(
    processes: Iterable[ResolvedProcess],
) -> Iterator[tuple[ResolvedProcess, str]]:
    """Each process with the reason why its software binds its addresses itself, or ""."""
    processes = list(processes)
    here = importable_here(processes)
    for process in processes:
        if process in here:
            yield process, _why_own(process)
        else:
            variables = ", ".join(sorted(process.backend_class.import_time_variables))
            yield process, f"its software reads {variables} when it is imported"


def _why_own(process: ResolvedProcess) -> str:
    """The reason for a process whose software can be imported here, or ""."""
    if process.settings.sockets == "own":
        return "SOCKETS is 'own'"
    software = process.settings.backend.rpartition(".")[2]
    if not process.backend_class.takes_sockets:
        return f"{software} cannot take sockets"
    try:
        why = process.backend.why_own_sockets(process.options)
        addresses = process.addresses
    except PrintsOnly:
        return f"{software} only prints something"
    except Exception:
        return "its ARGS are wrong"  # Reported elsewhere.
    if why:
        return why
    if not addresses:
        return "it listens at no address"
    if any(address.chosen_by_the_system for address in addresses):
        return "the system chooses its port"
    if any(isinstance(at := one.at, str) and at[:1] in ("@", "\0") for one in addresses):
        return "its socket has no file"
    return ""


def _addresses(process: ResolvedProcess) -> Sequence[Address]:
    try:
        return process.addresses
    except Exception:
        return ()  # As in `_why_own`.


def _listener(address: Address) -> Listener:
    name, backlog = str(address), address.backlog
    if isinstance(address.at, str):
        path = os.path.abspath(address.at)
        return Listener(name, path=path, backlog=backlog, mode=address.mode)
    every = bindings(*address.at, address.plain)
    # A name may have the same address several times, from several lines in /etc/hosts.
    unique = {(one.family, one.address): one for one in every}
    return Listener(name, list(unique.values()), backlog=backlog)
