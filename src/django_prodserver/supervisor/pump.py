"""The pump: events go in, commands and facts come out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .commands import (
    AdoptGeneration,
    CancelProbe,
    CancelSpawn,
    DropGeneration,
    Kill,
    LoadGeneration,
    Measure,
    Spawn,
    StartProbe,
    Unlisten,
)
from .facts import Observer, Output
from .group import Group
from .system import System


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
        if isinstance(output, Spawn):
            system.spawn(output.ref)
        elif isinstance(output, CancelSpawn):
            system.cancel_spawn(output.ref)
        elif isinstance(output, Kill):
            system.kill(output.ref, output.signal, output.group)
        elif isinstance(output, StartProbe):
            system.start_probe(output.ref, output.kind)
        elif isinstance(output, CancelProbe):
            system.cancel_probe(output.ref)
        elif isinstance(output, Measure):
            system.measure(output.ref)
        elif isinstance(output, Unlisten):
            system.unlisten(output.process)
        elif isinstance(output, LoadGeneration):
            system.load(output.generation)
        elif isinstance(output, AdoptGeneration):
            system.adopt(output.generation)
        elif isinstance(output, DropGeneration):
            system.drop(output.generation)
        else:
            for observe in observers:
                observe(output)
