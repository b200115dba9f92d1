"""Reload: switches all instances to a new generation, step by step, or none of them.

Oneshots run first, then services are renewed in the order of AFTER, one instance at a time, and
what is no longer wanted is stopped last. If a step fails, the steps before it are rolled back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from .events import Loaded
from .facts import Ended, Fault, Output, RenewalFailed, Renewed, StartRefused, Stopping
from .hints import Optional, Union
from .instance import Instance
from .roster import Roster
from .spec import Goal, Spec, process_of
from .values import replace


class Reload:
    """One reload. Until the project is `loaded`, it has no steps."""

    def __init__(self, generation: int, now: float, numbers: Sequence[int] = ()) -> None:
        self.generation = generation
        self.began = now
        # The numbers of the requests that it answers.
        self.numbers = tuple(numbers)
        self.is_loaded = False
        # Why it failed, once it has.
        self.failed: Union[str, RenewalFailed, None] = None
        # By instance, what went wrong with its life of this generation.
        self.causes: dict[str, Union[Ended, StartRefused, Fault]] = {}
        # Names of instances that are to be renewed or rolled back.
        self.steps: deque[str] = deque()
        self.renewed: list[str] = []
        # Names of instances that this reload adds, and of those that it removes.
        self.new: set[str] = set()
        self.unwanted: list[str] = []

    def loaded(self, loaded: Loaded, roster: Roster) -> Roster:
        """Plan the steps; return all instances, both existing and new."""
        self.is_loaded = True
        first_of = {spec.process: spec for spec in reversed(loaded.specs)}
        self._first_of = first_of
        wanted = {spec.name: spec for spec in loaded.specs}
        for instance in roster.values():
            if instance.added and instance.spec.process in first_of:
                name = instance.spec.name
                wanted.setdefault(name, replace(first_of[instance.spec.process], name=name))
        self._wanted = wanted
        instances = [roster.get(name) or self._create(spec) for name, spec in wanted.items()]
        instances += [one for name, one in roster.items() if name not in wanted]
        self.steps.extend(_in_order(wanted.values()))
        gone = [one.spec for name, one in roster.items() if name not in wanted]
        self.unwanted = [*reversed(list(_in_order(gone)))]
        return Roster.of(instances)

    def spec_of(self, name: str) -> Spec:
        """The new spec of an instance; for one added meanwhile, the first spec of its process."""
        return self._wanted.get(name) or replace(self._first_of[process_of(name)], name=name)

    def catch_up(self, instances: Iterable[Instance]) -> None:
        """Also renew the instances that were added meanwhile."""
        self.steps.extend(
            one.spec.name
            for one in instances
            if one.generation != self.generation
            and one.spec.process in self._first_of
            and one.spec.name not in self.unwanted
        )

    def not_wanted(self, roster: Roster) -> list[Instance]:
        """The instances to stop at the end, in this order."""
        if self.failed is not None:
            new = [one for one in roster.values() if one.generation == self.generation]
            return [*reversed(new)]
        return [
            *(roster[name] for name in self.unwanted),
            *(
                one
                for one in roster.values()
                if one.generation != self.generation and one.spec.name not in self.unwanted
            ),
        ]

    def observe(self, outputs: Iterable[Output]) -> Optional[RenewalFailed]:
        """Note the causes of failures; return the failed step, if one has failed."""
        for output in outputs:
            if isinstance(output, Stopping) and output.fault is not None:
                if output.ref.generation == self.generation:
                    self.causes[output.ref.name] = output.fault
            elif isinstance(output, Ended) and output.ref.generation == self.generation:
                self.causes.setdefault(output.ref.name, output)
            elif isinstance(output, StartRefused):
                self.causes[output.name] = output
            elif isinstance(output, Renewed) and not output.renewed:
                return RenewalFailed(output.name, self.causes.get(output.name))
        return None

    @property
    def has_replaced(self) -> bool:
        """A service runs this generation, or has run it."""
        return any(not self.spec_of(name).oneshot for name in self.renewed)

    def fail(self, why: Union[str, RenewalFailed]) -> None:
        """Roll back what has been renewed, the last first."""
        self.failed = why
        self.steps = deque(reversed(self.renewed))

    def _create(self, spec: Spec) -> Instance:
        """A new instance, which is not started before its turn."""
        self.new.add(spec.name)
        instance = Instance(spec, self.generation)
        instance.goal = Goal.DOWN
        return instance


def _in_order(specs: Iterable[Spec]) -> Iterable[str]:
    """The names of all: oneshots first, but each after the processes that it comes after."""
    specs = list(specs)
    members: dict[str, list[Spec]] = {}
    for spec in specs:
        members.setdefault(spec.process, []).append(spec)
    ordered: dict[str, None] = {}
    for process in sorted(members, key=lambda one: not members[one][0].oneshot):
        _add(process, members, ordered)
    return [spec.name for process in ordered for spec in members[process]]


def _add(process: str, members: Mapping[str, Sequence[Spec]], ordered: dict[str, None]) -> None:
    """Add a process, but first those that it comes after."""
    if process in ordered:
        return
    for name in sorted(process_of(one) for one in members[process][0].after):
        if name in members:
            _add(name, members, ordered)
    ordered[process] = None
