"""The documents that clients read, in JSON types. Keys are added, but never changed or removed.

Times are RFC 3339 texts, in UTC. `moment` makes one from a number of seconds from now.
"""

from __future__ import annotations

from collections.abc import Mapping

from django_prodserver.supervisor import report
from django_prodserver.supervisor.facts import LifeState, Refusal, State
from django_prodserver.supervisor.group import AT_WORK, wanted
from django_prodserver.supervisor.hints import Any, Callable, Optional
from django_prodserver.supervisor.snapshot import (
    AutoscaleSnapshot,
    GroupSnapshot,
    InstanceSnapshot,
    LifeSnapshot,
)
from django_prodserver.supervisor.spec import Goal, Ref
from django_prodserver.supervisor.values import Value

#: The version of the protocol. Clients understand no other.
API = 1

#: The keys that are null for an instance without a process.
OF_A_LIFE = (
    *("pid", "generation", "started_at", "ready_at", "message", "check"),
    *("cpu_seconds", "memory_bytes"),
)

Moment = Callable[[float], str]
PidOf = Callable[[Ref], Optional[int]]


class About(Value):
    """What changes only when the project is loaded again, if at all."""

    version: str = ""
    pid: int = 0
    # Identifies this run.
    run: str = ""
    # The folder that it was started in.
    project: str = ""
    # By process name: the backend, and the number of instances in the settings.
    backends: Mapping[str, str] = {}
    replicas: Mapping[str, int] = {}
    # By process name: why there can be only one instance.
    only_one: Mapping[str, str] = {}
    # Versions, and how long the project took to load, in seconds.
    python: str = ""
    django: str = ""
    loaded_in: float = 0.0


def status(snapshot: GroupSnapshot, about: About, pid_of: PidOf, moment: Moment) -> dict[str, Any]:
    """Everything about the supervisor and its processes."""
    at_work = snapshot.phase in AT_WORK
    scaled = {one.process: one for one in snapshot.autoscale}
    instances: dict[str, list[InstanceSnapshot]] = {}
    for instance in snapshot.instances:
        if is_shown(instance):
            instances.setdefault(instance.process, []).append(instance)
    return {
        "api": API,
        "run": about.run,
        "version": about.version,
        "pid": about.pid,
        "project": about.project,
        "phase": snapshot.phase.name.lower(),
        "started_at": moment(-snapshot.age),
        "generation": snapshot.generation,
        "reloading": snapshot.reloading,
        "as_wanted": all(map(as_wanted, snapshot.instances)),
        "processes": [
            _process(name, members, scaled.get(name), about, at_work, pid_of, moment)
            for name, members in instances.items()
        ],
    }


def is_shown(instance: InstanceSnapshot) -> bool:
    """Whether to show an instance: not if one request added it and another one removed it."""
    return not instance.added or instance.goal is Goal.UP or bool(instance.lives)


def as_wanted(instance: InstanceSnapshot) -> bool:
    """Whether an instance is what the settings or an operator want it to be."""
    return is_up(instance) if instance.goal is Goal.UP else not instance.lives


def is_up(instance: InstanceSnapshot) -> bool:
    """Whether it is ready here or elsewhere, is a oneshot that succeeded, or runs as planned."""
    ready = instance.state in (State.RUNNING, State.STANDBY)
    return ready or has_finished(instance) or instance.planned


def has_finished(instance: InstanceSnapshot) -> bool:
    return instance.finished


def named(name: str, snapshot: GroupSnapshot) -> list[InstanceSnapshot]:
    """The instances with this name, or of the process with this name."""
    return [one for one in snapshot.instances if name in (one.name, one.process)]


def not_ready(snapshot: GroupSnapshot, name: Optional[str] = None) -> list[str]:
    """A line for each instance that is not ready: those of this name, or all that should be up.

    While everything is being stopped, one line says so.
    """
    if snapshot.phase not in AT_WORK:
        return [report.refusal(Refusal.STOPPING)]
    if name is None:
        asked = [one for one in snapshot.instances if one.goal is Goal.UP]
    else:
        asked = wanted(named(name, snapshot))
    left = [one for one in asked if not is_up(one)]
    return [f"{one.name} is {one.state.name}: {why(one) or 'not ready'}" for one in left]


def why(instance: InstanceSnapshot) -> Optional[str]:
    """Why it is not running, or what is wrong with it; None if there is nothing to say."""
    life = instance.lives[0] if instance.lives else None
    if instance.state is State.STANDBY:
        return instance.lock_busy
    if instance.state is State.WAITING and instance.lock_busy:
        return f"waits for its lock: {instance.lock_busy}"
    if instance.planned and not instance.lives:
        return None if instance.last_end is None else report.end(instance.last_end)
    if instance.state is State.WAITING:
        return f"waits for {', '.join(instance.after)}"
    if instance.state is State.STOPPED:
        return "stopped on request" if instance.goal is Goal.DOWN else None
    if instance.state in (State.STARTING, State.RUNNING):
        return _what_is_wrong(life)
    if instance.state in (State.STOPPING, State.KILLING):
        fault = None if life is None else life.health.fault
        return None if fault is None else report.fault(fault)
    if instance.last_end is None:
        return "another supervisor has done it" if instance.finished else None
    return report.end(instance.last_end)


def _what_is_wrong(life: Optional[LifeSnapshot]) -> Optional[str]:
    if life is None or life.health.last_failure is None:
        return None
    found = report.failure(life.health.last_failure)
    if life.state is not LifeState.RUNNING:
        return f"not ready yet: {found}"
    return f"failed its health check: {found}" if life.health.failures else None


def _process(
    name: str,
    members: list[InstanceSnapshot],
    scaled: Optional[AutoscaleSnapshot],
    about: About,
    at_work: bool,
    pid_of: PidOf,
    moment: Moment,
) -> dict[str, Any]:
    to_be_up = [instance for instance in members if instance.goal is Goal.UP]
    return {
        "name": name,
        "type": "oneshot" if members[0].oneshot else "service",
        "backend": about.backends.get(name),
        "replicas": len(to_be_up),
        "configured_replicas": about.replicas.get(name, 0),
        "ready_replicas": sum(map(is_up, to_be_up)),
        "after": list(members[0].after),
        "autoscale": None if scaled is None else _autoscale(scaled, moment),
        "instances": [_instance(one, at_work, pid_of, moment) for one in members],
    }


def _autoscale(one: AutoscaleSnapshot, moment: Moment) -> dict[str, Any]:
    """What decides how many instances there are; null until it is first measured."""
    return {
        "metric": one.rule.metric,
        "value": one.value,
        "target": one.rule.target,
        "min": one.rule.least,
        "max": one.rule.most,
        "measured_at": None if one.measured is None else moment(-one.measured),
        "reason": one.why or None,
    }


def _instance(
    instance: InstanceSnapshot, at_work: bool, pid_of: PidOf, moment: Moment
) -> dict[str, Any]:
    life = instance.lives[0] if instance.lives else None
    return {
        "name": instance.name,
        "goal": instance.goal.value,
        "state": instance.state.name,
        "ready": instance.state is State.RUNNING,
        "as_wanted": as_wanted(instance),
        "changed": _changed(instance) if at_work else None,
        "since": moment(-instance.since),
        "restarts": instance.restarts,
        "replacements": instance.replacements,
        "updating": instance.updating,
        "reason": why(instance),
        "next_start_at": None if instance.next_start is None else moment(instance.next_start),
        "last_exit": _last_exit(instance, moment),
        **_life(life, instance.checked, pid_of, moment),
    }


def _changed(instance: InstanceSnapshot) -> Optional[str]:
    """What an operator has changed; restarting the supervisor undoes it."""
    if instance.added:
        return "added"
    return "stopped" if instance.goal is Goal.DOWN else None


def _life(
    life: Optional[LifeSnapshot], checked: bool, pid_of: PidOf, moment: Moment
) -> dict[str, Any]:
    if life is None:
        return dict.fromkeys(OF_A_LIFE)
    health = life.health
    ready_at = None if health.ready_after is None else moment(health.ready_after - life.age)
    message = None if health.last_failure is None else report.failure(health.last_failure)
    check = {"ok": health.failures == 0, "failures": health.failures, "message": message}
    return {
        "pid": pid_of(life.ref),
        "generation": life.ref.generation,
        "started_at": moment(-life.age),
        "ready_at": ready_at,
        "message": life.message,
        "check": check if checked else None,
        # Memory is as last measured. What has to be read from the system, clients read.
        "cpu_seconds": None,
        "memory_bytes": health.memory,
    }


def _last_exit(instance: InstanceSnapshot, moment: Moment) -> Optional[dict[str, Any]]:
    ended = instance.last_end
    if ended is None:
        return None
    reason = "oom" if ended.out_of_memory else None
    return {
        "status": ended.status.code,
        "signal": ended.status.signal,
        "expected": ended.expected,
        "reason": reason,
        "at": moment(-(instance.ended or 0.0)),
    }
