"""The pump: events go in, commands and facts come out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from .commands import CancelProbe, Kill, Measure, Spawn, StartProbe
from .facts import Observer, Output
from .group import Group
from .system import System


def run(group: Group, system: System, observers: Sequence[Observer]) -> int:
    """Run until nothing is left to wait for; returns the exit status.

    Each fact is handed to every observer, in order, before anything that was decided after it is
    done.
    """
    _carry_out(group.start(system.now()), group, system, observers)
    while group.exit_status is None:
        timeout = None
        if group.deadline is not None:
            timeout = max(0.0, group.deadline - system.now())
        for event in system.wait(timeout):
            _carry_out(group.take(system.now(), event), group, system, observers)
        _carry_out(group.tick(system.now()), group, system, observers)
    return group.exit_status


def _carry_out(
    outputs: Iterable[Output], group: Group, system: System, observers: Sequence[Observer]
) -> None:
    todo = deque(outputs)
    while todo:
        output = todo.popleft()
        if isinstance(output, Spawn):
            answer = system.spawn(output.ref)
            todo.extend(group.take(system.now(), answer))
        elif isinstance(output, Kill):
            system.kill(output.ref, output.signal, output.group)
        elif isinstance(output, StartProbe):
            system.start_probe(output.ref, output.kind)
        elif isinstance(output, CancelProbe):
            system.cancel_probe(output.ref)
        elif isinstance(output, Measure):
            system.measure(output.ref)
        else:
            for observe in observers:
                observe(output)
