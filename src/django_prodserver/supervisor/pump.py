"""The pump: events go in, commands and facts come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .commands import (
    AdoptGeneration,
    CancelProbe,
    CancelSpawn,
    Command,
    DropGeneration,
    Kill,
    LoadGeneration,
    Measure,
    MeasureLoad,
    PlanRun,
    ReleaseLock,
    Spawn,
    StartProbe,
    TakeLock,
    Unlisten,
)
from .facts import Observer, Output
from .group import Group
from .hints import Any, Callable
from .system import System

# The call that carries out each command.
CALLS: Mapping[type[Command], Callable[[System, Any], None]] = {
    Spawn: lambda system, it: system.spawn(it.ref),
    CancelSpawn: lambda system, it: system.cancel_spawn(it.ref),
    Kill: lambda system, it: system.kill(it.ref, it.signal, it.group),
    StartProbe: lambda system, it: system.start_probe(it.ref, it.kind),
    CancelProbe: lambda system, it: system.cancel_probe(it.ref),
    Measure: lambda system, it: system.measure(it.ref),
    MeasureLoad: lambda system, it: system.measure_load(it.process, it.metric),
    Unlisten: lambda system, it: system.unlisten(it.process),
    PlanRun: lambda system, it: system.plan_run(it.name, it.ended),
    TakeLock: lambda system, it: system.take_lock(it.name),
    ReleaseLock: lambda system, it: system.release_lock(it.name, it.done),
    LoadGeneration: lambda system, it: system.load(it.generation),
    AdoptGeneration: lambda system, it: system.adopt(it.generation),
    DropGeneration: lambda system, it: system.drop(it.generation),
}


def run(group: Group, system: System, observers: Sequence[Observer]) -> int:
    """Run until nothing is left to wait for; returns the exit status.

    Every observer gets each fact, in order, before any later decision is carried out.
    """
    _carry_out(group.start(system.now()), system, observers)
    while group.exit_status is None:
        timeout = None
        if group.deadline is not None:
            timeout = max(0.0, group.deadline - system.now())
        for event in system.wait(timeout):
            _carry_out(group.take(system.now(), event), system, observers)
        _carry_out(group.tick(system.now()), system, observers)
    return group.exit_status


def _carry_out(outputs: Iterable[Output], system: System, observers: Sequence[Observer]) -> None:
    for output in outputs:
        if isinstance(output, Command):
            CALLS[type(output)](system, output)
        else:
            for observe in observers:
                observe(output)
