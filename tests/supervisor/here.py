"""A group whose clock is moved by the test."""

from __future__ import annotations

from typing import Any

from django_prodserver.supervisor.events import Event
from django_prodserver.supervisor.facts import Output, State
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.spec import Spec
from django_prodserver.supervisor.values import Value


class Here:
    """A supervisor with these instances, which has just been started."""

    def __init__(self, *specs: Spec, reloads: bool = False) -> None:
        self.group = Group(specs, reloads=reloads)
        self.group.start(0.0)
        self.now = 0.0
        # The outputs of all events so far.
        self.told: list[Output] = []

    def after(self, seconds: float = 0.0) -> list[Output]:
        """Let time pass, and handle the deadlines; returns the outputs."""
        self.now += seconds
        outputs: list[Output] = []
        while self.group.deadline is not None and self.group.deadline <= self.now:
            outputs += self.group.tick(self.now)
        self.told += outputs
        return outputs

    def take(self, *events: Event) -> list[Output]:
        outputs: list[Output] = []
        for event in events:
            taken = self.group.take(self.now, event)
            self.told += taken
            outputs += [*taken, *self.after()]
        return outputs

    def state(self, name: str) -> State:
        return self.group.instances[name].state


def of(kind: type[Value], outputs: list[Output]) -> list[Any]:
    return [one for one in outputs if isinstance(one, kind)]
