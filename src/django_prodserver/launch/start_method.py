"""Decide which processes are forked and which are spawned, and what the log says about it.

With START_METHOD "auto" a process is forked unless the fork would lack something or could hang:
because of threads or an event loop that the preload left behind, or because its ENV sets variables
that were read when Django was set up.
"""

from __future__ import annotations

import enum
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Callable

from django_prodserver.backends.hooks.connections import close_connections
from django_prodserver.posix.own_process import private_memory
from django_prodserver.posix.template.order import inherited
from django_prodserver.settings.findings import Finding, advice
from django_prodserver.settings.names import PROCESSES
from django_prodserver.supervisor import report
from django_prodserver.supervisor.record import Record, Severity
from django_prodserver.supervisor.report import Left, Price

from .leftovers import Kind, Leftover, collect_leftovers
from .process import ResolvedProcess, importable_here

# The check id of advice about start methods and leftovers.
ID = "W008"


class Effect(enum.IntEnum):
    """What a leftover of the preload means for a start. Of several, the highest value decides."""

    SHARED = 1  # Forks share it. "auto" forks, and the log says so.
    LACKED = 2  # A fork lacks it: "auto" spawns.
    CLASHES = 3  # A fresh interpreter would fail; a fork only lacks something: "auto" forks.
    HANGS = 4  # A fork may hang: "auto" spawns.


SPAWNS = (Effect.LACKED, Effect.HANGS)


@dataclass(frozen=True)
class Judgement:
    effect: Effect
    # Makes its text for the log, from the names of the leftovers and of their owners.
    words: Callable[[Sequence[str], Sequence[str]], Left]


JUDGED = {
    Kind.THREAD: Judgement(Effect.LACKED, report.threads_left),
    Kind.NATIVE_THREAD: Judgement(Effect.HANGS, report.native_threads_left),
    # Of three processes that shared one asyncio event loop, two missed their events.
    Kind.EPOLL: Judgement(Effect.HANGS, report.epoll_left),
    Kind.CONNECTION: Judgement(Effect.SHARED, report.connections_left),
    # A metrics exporter, for example: without its thread a fork has no metrics, but a fresh
    # interpreter cannot start at all, because the port is taken.
    Kind.LISTENER: Judgement(Effect.CLASHES, report.listeners_left),
    Kind.SHARED_LISTENER: Judgement(Effect.SHARED, report.listeners_left),
}


def left_by_preload() -> list[Leftover]:
    """Close connections, which must not be shared, and return what else the preload left."""
    close_connections()
    return collect_leftovers()


def to_fork(processes: Sequence[ResolvedProcess]) -> list[ResolvedProcess]:
    """The processes that may be forked, and so benefit from a preload."""
    patched = patched_by(processes)
    return [one for one in processes if not _is_spawned(one, False, patched)]


def to_spawn(processes: Sequence[ResolvedProcess], leftovers: Collection[Leftover]) -> list[str]:
    """The names of the processes that get a fresh interpreter."""
    spawns, patched = auto_spawns(leftovers), patched_by(processes)
    return [one.name for one in processes if _is_spawned(one, spawns, patched)]


def patched_by(processes: Sequence[ResolvedProcess]) -> dict[str, str]:
    """The greenlet libraries of the processes that use one, by process name.

    These are spawned whatever START_METHOD says: in a fork it is too late to patch Python.
    """
    return {one.name: one.patched_by for one in importable_here(processes) if one.patched_by}


def age() -> float:
    """Seconds since this program began to run.

    The kernel knows when the process started, but after an exec, as at the end of a container's
    entry script, that is too early. The earliest moment that Python records is the import of
    logging, which is among Django's first imports. For a program that was started ahead of a
    reload, the time counts from that reload.
    """
    order = inherited()
    if order is not None and order.age is not None:
        return order.age
    return logging.makeLogRecord({}).relativeCreated / 1000


def price(spent: float) -> Price:
    """What a fork saves, if the preload took `spent` seconds. Call this after the preload."""
    return Price(spent, private_memory())


def start_method_records(
    processes: Sequence[ResolvedProcess], leftovers: Collection[Leftover], price: Price
) -> Iterator[Record]:
    """Log records: why "auto" did not fork, and what forks lack or share."""
    patched = patched_by(processes)
    concerned = [
        process
        for process in processes
        if not process.becomes_another_program and process.name not in patched
    ]
    undecided = [
        process.name
        for process in concerned
        if process.settings.start_method == "auto" and not _sets_what_is_read(process)
    ]
    names = undecided if len(undecided) < len(processes) else []
    spawns = auto_spawns(leftovers)
    if undecided and spawns:
        yield report.spawned_for(names, _left(leftovers, SPAWNS), price)
    elif undecided and _left(leftovers, SPAWNS):
        lacked, clashes = _left(leftovers, SPAWNS), _left(leftovers, [Effect.CLASHES])
        yield report.forked_in_spite_of(names, lacked, clashes[0])
    if any(not _is_spawned(process, spawns, patched) for process in concerned):
        yield from map(report.left_to_forks, _left(leftovers, Effect))
    for process in processes:
        variables = process.variables_already_read(os.environ)
        if variables and process.settings.start_method == "auto":
            yield report.spawned_for_variables(process.name, variables)
        elif variables and process.settings.start_method == "fork":
            yield report.variables_not_seen(process.name, variables)


def known_before_the_preload(process: ResolvedProcess, patched: Collection[str]) -> str:
    """How the process is started, as far as that is known before the preload.

    Returns "fork", "spawn", or "auto" if only the preload decides. `patched` has the names of the
    processes that patch Python.
    """
    method = process.settings.start_method
    return "spawn" if _is_spawned(process, False, patched) else method


def how_started(
    processes: Sequence[ResolvedProcess], leftovers: Collection[Leftover]
) -> Iterator[tuple[list[str], str, str]]:
    """Group processes by how they are started ("forked", "spawned" or "executed") and why.

    Why is "" if neither a setting nor the preload decided.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    patched = patched_by(processes)
    for process in processes:
        alike.setdefault(_how(process, leftovers, patched), []).append(process.name)
    for (how, why), names in alike.items():
        yield names, how, why


def _how(
    process: ResolvedProcess, leftovers: Collection[Leftover], patched: Mapping[str, str]
) -> tuple[str, str]:
    if process.becomes_another_program:
        return "executed", ""
    if process.name in patched:
        return "spawned", f"{patched[process.name]} patches Python before anything is imported"
    method, spawns = process.settings.start_method, auto_spawns(leftovers)
    how = "spawned" if _is_spawned(process, spawns, patched) else "forked"
    if method != "auto":
        return how, f"START_METHOD is {method!r}"
    variables = process.variables_already_read(os.environ)
    if variables:
        return how, f"its ENV sets {', '.join(variables)}, which has already been read"
    left = _left(leftovers, SPAWNS)
    if left and not spawns:
        left = _left(leftovers, [Effect.CLASHES])
    return how, report.preload_left(left) if left else ""


def problems(
    processes: Sequence[ResolvedProcess], leftovers: Collection[Leftover]
) -> list[Finding]:
    """The warnings of the log, as advice. Call this after a preload."""
    records = start_method_records(processes, leftovers, price(age()))
    warnings = [record.message for record in records if record.severity is Severity.WARNING]
    return [advice(PROCESSES, f": {message}.", "", ID) for message in warnings]


def auto_spawns(leftovers: Collection[Leftover]) -> bool:
    """Whether "auto" means spawn, given these leftovers."""
    effects = [JUDGED[one.kind].effect for one in leftovers]
    return max(effects, default=Effect.SHARED) in SPAWNS


def _left(leftovers: Collection[Leftover], effects: Collection[Effect]) -> list[Left]:
    """The leftovers with one of these effects in words; those of the same kind together."""
    words = []
    for kind, judgement in JUDGED.items():
        of_kind = [one for one in leftovers if one.kind is kind]
        if of_kind and judgement.effect in effects:
            names = list(dict.fromkeys(one.name for one in of_kind))
            owners = list(dict.fromkeys(os.path.basename(one.of) for one in of_kind if one.of))
            words.append(judgement.words(names, owners))
    return words


def _is_spawned(process: ResolvedProcess, spawns: bool, patched: Collection[str]) -> bool:
    """Whether it is spawned, if "auto" means spawn (`spawns`) and these processes patch Python."""
    method = process.settings.start_method
    if process.name in patched:
        return True
    if method == "auto" and not process.becomes_another_program:
        return spawns or _sets_what_is_read(process)
    return method == "spawn"


def _sets_what_is_read(process: ResolvedProcess) -> bool:
    return bool(process.variables_already_read(os.environ))
