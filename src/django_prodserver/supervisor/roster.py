"""The roster: all instances of a group, and which of them a decision has to look at.

A decision is made after each event. If it looked at all instances each time, starting three hundred
would take a hundred times as long as starting thirty, instead of ten times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .agenda import Agenda
from .hints import Optional
from .instance import Instance
from .spec import Goal, Spec, process_of


class Members:
    """Some of the instances, by process."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def __contains__(self, process: str) -> bool:
        return process in self._names

    def __bool__(self) -> bool:
        return bool(self._names)

    def has_none(self, processes: frozenset[str]) -> bool:
        return self._names.keys().isdisjoint(processes)

    def update(self, instance: Instance, belongs: bool) -> None:
        process = instance.spec.process
        names = self._names.get(process)
        if belongs:
            self._names.setdefault(process, set()).add(instance.spec.name)
        elif names is not None:
            names.discard(instance.spec.name)
            if not names:
                del self._names[process]


class Roster(Mapping[str, Instance]):
    """All instances by their names, in order.

    Call `note` after each input to an instance: everything else here is derived from the instances.
    """

    @classmethod
    def of(cls, instances: Iterable[Instance]) -> Roster:
        """A roster of existing instances."""
        made = cls(())
        for instance in instances:
            made.add(instance)
        return made

    def __init__(self, specs: Iterable[Spec]) -> None:
        self._instances: dict[str, Instance] = {}
        self._numbers: dict[str, int] = {}
        self._in_order: list[Instance] = []
        # When lives have something to do, and when new lives begin.
        self._tasks, self._starts = Agenda(), Agenda()
        # Instances that are wanted, but neither ready nor finished: what comes after them has to
        # wait.
        self.unfulfilled = Members()
        self.alive = Members()
        # Instances with a life or a planned start to wait for.
        self.pending = Members()
        # Instances, by number: those that have failed permanently; those that come after a process,
        # by that process; those whose start may have become possible or impossible.
        self._failed: set[int] = set()
        self._followers: dict[str, set[int]] = {}
        self._affected: set[int] = set()
        for spec in specs:
            self.add(Instance(spec))

    def __getitem__(self, name: str) -> Instance:
        return self._instances[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._instances)

    def __len__(self) -> int:
        return len(self._instances)

    def add(self, instance: Instance) -> None:
        number = self._numbers[instance.spec.name] = len(self._in_order)
        for process in map(process_of, instance.spec.after):
            self._followers.setdefault(process, set()).add(number)
        self._in_order.append(instance)
        self._instances[instance.spec.name] = instance
        self.note(instance)

    def note(self, instance: Instance) -> None:
        """Update what is derived from this instance."""
        number = self._numbers[instance.spec.name]
        self._tasks.set(number, instance.task_at)
        self._starts.set(number, instance.start_at)
        process, wanted = instance.spec.process, instance.goal is not Goal.DOWN
        before = process in self.unfulfilled
        self.unfulfilled.update(instance, wanted and not instance.fulfilled)
        self._affected.add(number)
        if before is not (process in self.unfulfilled):
            self._affected |= self._followers.get(process, set())
        self.alive.update(instance, instance.alive)
        self.pending.update(instance, not instance.over)
        if instance.failure is not None:
            self._failed.add(number)
        else:
            self._failed.discard(number)

    @property
    def deadline(self) -> Optional[float]:
        """The next moment at which something has to be done, or None for never."""
        moments = [first[0] for first in (self._tasks.first, self._starts.first) if first]
        return min(moments, default=None)

    @property
    def failed(self) -> Optional[Instance]:
        """The first instance that has failed permanently, or None."""
        return self._in_order[min(self._failed)] if self._failed else None

    def take_affected(self) -> list[Instance]:
        """Return, once each, instances whose start may depend on changes since the last call."""
        affected, self._affected = self._affected, set()
        return [self._in_order[number] for number in sorted(affected)]

    def take_due(self, now: float) -> list[Instance]:
        """Return, once each, the instances whose lives have something to do."""
        return [self._in_order[number] for number in self._tasks.take_due(now)]

    def first_to_begin(self, now: float) -> Optional[Instance]:
        """The instance whose next life has been due for the longest time, or None."""
        first = self._starts.first
        return self._in_order[first[1]] if first is not None and first[0] <= now else None

    def may_start(self, instance: Instance) -> bool:
        """Everything that it comes after is ready, finished or not wanted."""
        return not any(process_of(name) in self.unfulfilled for name in instance.spec.after)
