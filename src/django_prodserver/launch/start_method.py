"""Which processes are forked, which are spawned, and what the log says about it.

With START_METHOD "auto" a process is forked unless the fork would lack something or hang: threads
that the preload left running, an event loop that it made, or variables of its ENV that were read
when Django was set up.
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

from .leftovers import Kind, Leftover, look
from .process import ResolvedProcess, importable_here

# Of the advice for what must not be shared.
ID = "W008"


class Effect(enum.IntEnum):
    """What a leftover of the preload means for a start. Of several, the greatest decides."""

    SHARED = 1  # Forks share it. "auto" forks, and the log says so.
    LACKED = 2  # A fork lacks it: "auto" spawns.
    CLASHES = 3  # A fresh interpreter fails, which a fork that lacks something does not: it forks.
    HANGS = 4  # A fork may hang: it spawns.


SPAWNS = (Effect.LACKED, Effect.HANGS)


@dataclass(frozen=True)
class Judgement:
    effect: Effect
    # Its words, of the names and of what they belong to.
    words: Callable[[Sequence[str], Sequence[str]], Left]


JUDGED = {
    Kind.THREAD: Judgement(Effect.LACKED, report.threads_left),
    Kind.NATIVE_THREAD: Judgement(Effect.HANGS, report.native_threads_left),
    # Of three processes that ran one loop of asyncio, two missed what they waited for.
    Kind.EPOLL: Judgement(Effect.HANGS, report.epoll_left),
    Kind.CONNECTION: Judgement(Effect.SHARED, report.connections_left),
    # An exporter of metrics, for example: with its thread gone there are no metrics, but with its
    # port taken there is no process.
    Kind.LISTENER: Judgement(Effect.CLASHES, report.listeners_left),
    Kind.SHARED_LISTENER: Judgement(Effect.SHARED, report.listeners_left),
}


def left_by_preload() -> list[Leftover]:
    """Close what must not be shared, and look for what is left."""
    close_connections()
    return look()


def to_fork(processes: Sequence[ResolvedProcess]) -> list[ResolvedProcess]:
    """Those that may be forked, so that a preload is of use to them."""
    patched = patched_by(processes)
    return [one for one in processes if not _is_spawned(one, False, patched)]


def to_spawn(processes: Sequence[ResolvedProcess], leftovers: Collection[Leftover]) -> list[str]:
    """The names of the processes that get a fresh interpreter."""
    spawns, patched = auto_spawns(leftovers), patched_by(processes)
    return [one.name for one in processes if _is_spawned(one, spawns, patched)]


def patched_by(processes: Sequence[ResolvedProcess]) -> dict[str, str]:
    """The libraries of greenlets of those that have one, by their names.

    They are spawned whatever START_METHOD says: in a fork it is too late to patch Python.
    """
    return {one.name: one.patched_by for one in importable_here(processes) if one.patched_by}


def age() -> float:
    """Seconds since this program began to run.

    The kernel knows when the process began, but that is too early after an exec, as at the end of a
    container's entry script. The earliest moment that Python remembers is the import of logging,
    with Django's first modules. A program that was started ahead of a reload began with that.
    """
    order = inherited()
    if order is not None and order.age is not None:
        return order.age
    return logging.makeLogRecord({}).relativeCreated / 1000


def price(spent: float) -> Price:
    """What a fork saves, if the preload took this many seconds. Call it after the preload."""
    return Price(spent, private_memory())


def said_of_start_methods(
    processes: Sequence[ResolvedProcess], leftovers: Collection[Leftover], price: Price
) -> Iterator[Record]:
    """Lines for the log where "auto" did not fork, or where a fork lacks or shares something."""
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
    """How it is started, where that is known without a preload: "fork", "spawn" or else "auto".

    `patched` are the names of those that patch Python.
    """
    method = process.settings.start_method
    return "spawn" if _is_spawned(process, False, patched) else method


def how_started(
    processes: Sequence[ResolvedProcess], leftovers: Collection[Leftover]
) -> Iterator[tuple[list[str], str, str]]:
    """Processes that are started alike, how, and why: forked, spawned or executed.

    Why is empty where no setting and nothing in the preload decided.
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
        return how, f"its ENV sets {', '.join(variables)}, which is read already"
    left = _left(leftovers, SPAWNS)
    if left and not spawns:
        left = _left(leftovers, [Effect.CLASHES])
    return how, report.preload_left(left) if left else ""


def problems(
    processes: Sequence[ResolvedProcess], leftovers: Collection[Leftover]
) -> list[Finding]:
    """What the log would warn of, as advice; to be asked after a preload."""
    said = said_of_start_methods(processes, leftovers, price(age()))
    warnings = [record.message for record in said if record.severity is Severity.WARNING]
    return [advice(PROCESSES, f": {message}.", "", ID) for message in warnings]


def auto_spawns(leftovers: Collection[Leftover]) -> bool:
    """Whether "auto" spawns with these."""
    effects = [JUDGED[one.kind].effect for one in leftovers]
    return max(effects, default=Effect.SHARED) in SPAWNS


def _left(leftovers: Collection[Leftover], effects: Collection[Effect]) -> list[Left]:
    """Those of these effects in words, together where they are of one kind."""
    words = []
    for kind, judgement in JUDGED.items():
        of_kind = [one for one in leftovers if one.kind is kind]
        if of_kind and judgement.effect in effects:
            names = list(dict.fromkeys(one.name for one in of_kind))
            owners = list(dict.fromkeys(os.path.basename(one.of) for one in of_kind if one.of))
            words.append(judgement.words(names, owners))
    return words


def _is_spawned(process: ResolvedProcess, spawns: bool, patched: Collection[str]) -> bool:
    """Whether it is, where "auto" `spawns`, and these have Python patched."""
    method = process.settings.start_method
    if process.name in patched:
        return True
    if method == "auto" and not process.becomes_another_program:
        return spawns or _sets_what_is_read(process)
    return method == "spawn"


def _sets_what_is_read(process: ResolvedProcess) -> bool:
    return bool(process.variables_already_read(os.environ))
