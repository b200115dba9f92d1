"""The pump: what happened goes in, what is to be done comes out."""

from __future__ import annotations

from collections import deque

from . import report
from .model import CancelProbe, Effect, Kill, Measure, Spawn, StartProbe
from .supervisor import Supervisor
from .system import System


def run(supervisor: Supervisor, system: System) -> int:
    """Run until nothing is left; returns the exit status."""
    _perform(supervisor.start(system.now()), supervisor, system)
    while supervisor.exit_status is None:
        timeout = None
        if supervisor.deadline is not None:
            timeout = max(0.0, supervisor.deadline - system.now())
        for happening in system.wait(timeout):
            _perform(supervisor.happened(system.now(), happening), supervisor, system)
        _perform(supervisor.tick(system.now()), supervisor, system)
    return supervisor.exit_status


def _perform(effects: list[Effect], supervisor: Supervisor, system: System) -> None:
    todo = deque(effects)
    while todo:
        effect = todo.popleft()
        if isinstance(effect, Spawn):
            todo.extend(_spawn(effect.name, supervisor, system))
        else:
            _act(effect, system)
        line = report.line(effect)
        if line is not None:
            system.say(line)
        notification = report.notification(effect)
        if notification is not None:
            system.tell(notification)


def _spawn(name: str, supervisor: Supervisor, system: System) -> list[Effect]:
    try:
        pid = system.spawn(name)
    except OSError as error:
        return supervisor.spawn_failed(system.now(), name, str(error))
    return supervisor.spawned(system.now(), name, pid)


def _act(effect: Effect, system: System) -> None:
    if isinstance(effect, Kill):
        system.kill(effect.pid, effect.signal, effect.group)
    elif isinstance(effect, StartProbe):
        system.start_probe(effect.pid, effect.probe)
    elif isinstance(effect, CancelProbe):
        system.cancel_probe(effect.pid)
    elif isinstance(effect, Measure):
        system.measure(effect.pid)
