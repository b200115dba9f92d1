"""Changes that operators have requested, and their progress."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from django_prodserver.supervisor import report
from django_prodserver.supervisor.facts import (
    Fact,
    Granted,
    LifeState,
    Phase,
    Refusal,
    Reloaded,
    ReloadFailed,
    RequestRefused,
    State,
    Updated,
)
from django_prodserver.supervisor.group import AT_WORK
from django_prodserver.supervisor.hints import Any, Optional, Union
from django_prodserver.supervisor.snapshot import GroupSnapshot, InstanceSnapshot
from django_prodserver.supervisor.spec import Goal

from .documents import is_up, why

# How many changes that have ended are remembered.
REMEMBERED = 100


class Target(enum.Enum):
    """What an instance should be once a change is done."""

    UP = "ready, or a oneshot that has finished"
    DOWN = "without a process"
    REPLACED = "ready, by a life that was not there before"
    GONE = "without a process, with all others"
    ANYTHING = "whatever follows"


class Progress(enum.Enum):
    """How far a change has come."""

    RUNNING = "in progress"
    DONE = "everything is as requested"
    FAILED = "it failed, entirely or in part"


class Change:
    """One request, from its start to its end."""

    def __init__(
        self, number: int, verb: str, names: tuple[str, ...], targets: Mapping[str, Target]
    ) -> None:
        self.number = number
        self.verb = verb
        self.names = names
        self.targets = targets
        self.progress = Progress.RUNNING
        self.message: Optional[str] = None
        # The group has accepted the request.
        self.granted = False
        # By instance, the number of the last life that does not count as a new one.
        self.before: dict[str, int] = {}
        # Instances that keep their old life, because the new one did not become ready.
        self.kept: set[str] = set()

    @property
    def over(self) -> bool:
        return self.progress is not Progress.RUNNING

    def end(self, progress: Progress, message: Optional[str] = None) -> None:
        self.progress, self.message = progress, message

    def document(self) -> dict[str, Any]:
        return {
            "change": self.number,
            "verb": self.verb,
            "names": list(self.names),
            "state": self.progress.name.lower(),
            "message": self.message,
        }


class Changes:
    """All running changes, and those that ended recently."""

    def __init__(self) -> None:
        self._changes: dict[int, Change] = {}
        self._number = 0

    def __getitem__(self, number: int) -> Change:
        """Raises KeyError for a change that never existed, or has been forgotten."""
        return self._changes[number]

    @property
    def running(self) -> list[Change]:
        return [change for change in self._changes.values() if not change.over]

    def begin(
        self,
        verb: str,
        names: tuple[str, ...],
        targets: Mapping[str, Target],
        snapshot: GroupSnapshot,
    ) -> Change:
        """Begin a change, which is not granted yet."""
        self._number += 1
        change = self._changes[self._number] = Change(self._number, verb, names, targets)
        change.before = {one.name: _last_life(one) for one in snapshot.instances}
        to_a_goal = bool(targets) and {*targets.values()} <= {Target.UP, Target.DOWN}
        if to_a_goal and not _pending(change, snapshot):
            change.message = "nothing to do"
        for number in [n for n, one in self._changes.items() if one.over][:-REMEMBERED]:
            del self._changes[number]
        return change

    def observe(self, fact: Fact) -> bool:
        """Take note of a fact; returns whether it may have ended a change."""
        if isinstance(fact, Granted):
            self._changes[fact.request.number].granted = True
        elif isinstance(fact, RequestRefused) and fact.number is not None:
            message = f"{fact.name}: {report.refusal(fact.why)}"
            self._changes[fact.number].end(Progress.FAILED, message)
        elif isinstance(fact, (Reloaded, ReloadFailed)):
            for number in fact.numbers:
                self._changes[number].end(*_of_reload(fact))
        elif isinstance(fact, Updated) and not fact.replaced:
            for change in self.running:
                change.kept.add(fact.name)
        return bool(self._changes)

    def settle(self, snapshot: GroupSnapshot) -> None:
        """End the changes that have reached all of their targets, or cannot any more."""
        for change in self.running:
            if not change.granted or not change.targets:
                continue  # A reload ends by a fact of its own.
            failures = filter(None, (_failure(change, one, snapshot) for one in snapshot.instances))
            failure = next(failures, None)
            if failure is not None:
                change.end(Progress.FAILED, failure)
            elif not _pending(change, snapshot):
                change.end(Progress.DONE, change.message)


def _of_reload(fact: Union[Reloaded, ReloadFailed]) -> tuple[Progress, Optional[str]]:
    if isinstance(fact, Reloaded):
        return Progress.DONE, f"generation {fact.generation}"
    then = "everything was rolled back" if fact.rolled_back else "nothing was changed"
    return Progress.FAILED, f"{report.reload_failure(fact.why)}; {then}"


def _last_life(instance: InstanceSnapshot) -> int:
    """The number of the last life that does not count as a replacement."""
    # A life that is only being spawned counts as one.
    starting = instance.lives and instance.lives[0].state is LifeState.SPAWNING
    return _newest(instance) - 1 if starting else _newest(instance)


def _pending(change: Change, snapshot: GroupSnapshot) -> bool:
    """Whether a target is not reached yet."""
    if Target.GONE in change.targets.values():
        return snapshot.phase is not Phase.OVER
    found = {instance.name: instance for instance in snapshot.instances}
    return not all(
        name in found and _reached(change, found[name], target)
        for name, target in change.targets.items()
    )


def _reached(change: Change, instance: InstanceSnapshot, target: Target) -> bool:
    if target is Target.UP:
        return is_up(instance) and instance.next_start is None
    if target is Target.DOWN:
        return instance.goal is Goal.DOWN and not instance.lives
    if target is Target.REPLACED and instance.state is State.STANDBY:
        return True  # It has no life that could be replaced.
    if target is Target.REPLACED:
        newer = _newest(instance) > change.before.get(instance.name, 0)
        return newer and is_up(instance) and not instance.updating
    return True


def _newest(instance: InstanceSnapshot) -> int:
    """The number of the current life, or else of the last one that ended."""
    if instance.lives:
        return instance.lives[0].ref.number
    return instance.last_end.ref.number if instance.last_end is not None else 0


def _failure(change: Change, instance: InstanceSnapshot, snapshot: GroupSnapshot) -> Optional[str]:
    """Why this instance will not reach its target; None while it still may."""
    target = change.targets.get(instance.name)
    if target in (None, Target.GONE, Target.ANYTHING):
        return None
    if target is Target.DOWN:
        again = instance.goal is Goal.UP and snapshot.phase in AT_WORK
        return f"{instance.name} was started again meanwhile" if again else None
    if snapshot.phase not in AT_WORK and not _reached(change, instance, target):
        ended = why(instance) if instance.state in (State.EXITED, State.FATAL) else None
        stopping = report.refusal(Refusal.STOPPING)
        return stopping if ended is None else f"{instance.name} {ended}; {stopping}"
    if instance.goal is Goal.DOWN:
        return f"{instance.name} was stopped meanwhile"
    if target is Target.REPLACED and instance.name in change.kept:
        return f"{instance.name} was not replaced: the new one did not become ready"
    at_rest = instance.state is State.EXITED and instance.next_start is None
    if instance.state is State.FATAL or (at_rest and not is_up(instance)):
        return f"{instance.name} {why(instance) or 'failed'}"
    return None
