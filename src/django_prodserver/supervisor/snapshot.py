"""A snapshot of a group as plain values, from which status and metrics are made.

Moments are given as seconds from now: ages count up, deadlines count down.
"""

from __future__ import annotations

from .autoscale import Autoscaler
from .facts import Ended, Fault, LifeState, Phase, ProbeFailure, State
from .hints import Optional
from .instance import Instance
from .life import Life
from .spec import Autoscale, Goal, Ref, process_of
from .values import Value


class HealthSnapshot(Value):
    """The health of a life; None and 0 where nothing is known yet."""

    # Its state is RUNNING. Without `reports_ready`, that only means that it was started.
    ready: bool
    reports_ready: bool
    # Seconds from its start until it was ready.
    ready_after: Optional[float]
    failures: int
    last_failure: Optional[ProbeFailure]
    fault: Optional[Fault]
    memory: Optional[int]


class LifeSnapshot(Value):
    ref: Ref
    state: LifeState
    # Seconds in this state, and since its start.
    since: float
    age: float
    # The name of each deadline and the seconds until it is due, the earliest first.
    deadlines: tuple[tuple[str, float], ...]
    health: HealthSnapshot
    # Its last STATUS=.
    message: Optional[str]


class InstanceSnapshot(Value):
    name: str
    process: str
    oneshot: bool
    # The names of the processes that it comes after.
    after: tuple[str, ...]
    # It has a HEALTHCHECK.
    checked: bool
    # It was added by scaling, not by the settings.
    added: bool
    goal: Goal
    state: State
    since: float
    restarts: int
    replacements: int
    updating: bool
    # Seconds until its next life starts, if that is planned.
    next_start: Optional[float]
    last_end: Optional[Ended]
    # Seconds since its last end.
    ended: Optional[float]
    # The current life comes first.
    lives: tuple[LifeSnapshot, ...]
    # A oneshot that has succeeded.
    finished: bool = False
    # It is scheduled, and its next run is planned or in progress.
    planned: bool = False
    # Why its lock is not available yet, if known.
    lock_busy: str = ""


class AutoscaleSnapshot(Value):
    """What an autoscaler bases its decisions on."""

    process: str
    rule: Autoscale
    # The load last measured, None if unknown, and how many seconds ago.
    value: Optional[float] = None
    measured: Optional[float] = None
    # Why the load is unknown, if there is something to report.
    why: str = ""


class GroupSnapshot(Value):
    phase: Phase
    exit_status: Optional[int]
    # Seconds since the supervisor was started.
    age: float
    instances: tuple[InstanceSnapshot, ...]
    # The generation that runs, and whether a reload is in progress.
    generation: int = 0
    reloading: bool = False
    autoscale: tuple[AutoscaleSnapshot, ...] = ()


def autoscale_snapshot(process: str, one: Autoscaler, now: float) -> AutoscaleSnapshot:
    reading = one.reading
    if reading is None:
        return AutoscaleSnapshot(process, one.rule)
    return AutoscaleSnapshot(process, one.rule, reading.value, now - reading.at, reading.why)


def instance_snapshot(instance: Instance, now: float) -> InstanceSnapshot:
    planned = instance.runs.at is not None
    next_start = instance.runs.at if planned and not instance.alive else instance.next_start
    lives = sorted(instance.lives, key=lambda life: life is not instance.life)
    return InstanceSnapshot(
        name=instance.spec.name,
        process=instance.spec.process,
        oneshot=instance.spec.oneshot,
        after=tuple(sorted({process_of(name) for name in instance.spec.after})),
        checked=instance.spec.check is not None,
        added=instance.added,
        goal=instance.goal,
        state=instance.state,
        since=now - instance.since,
        restarts=instance.restarts,
        replacements=instance.replacements,
        updating=instance.updating,
        finished=instance.finished,
        lock_busy=instance.lock.busy,
        next_start=None if next_start is None else next_start - now,
        planned=planned,
        last_end=instance.last_end,
        ended=None if instance.last_end is None else now - instance.ended_at,
        lives=tuple([_life(life, now) for life in lives]),
    )


def _life(life: Life, now: float) -> LifeSnapshot:
    health = life.health
    ready_after = None if health.ready_at is None else health.ready_at - life.started
    due = sorted(life.deadlines.items(), key=lambda item: item[1])
    return LifeSnapshot(
        ref=life.ref,
        state=life.state,
        since=now - life.since,
        age=now - life.started,
        deadlines=tuple([(deadline.name, at - now) for deadline, at in due]),
        message=life.message,
        health=HealthSnapshot(
            ready=life.state is LifeState.RUNNING,
            reports_ready=life.reports_ready,
            ready_after=ready_after,
            failures=health.failures,
            last_failure=health.last_failure,
            fault=life.fault,
            memory=health.memory,
        ),
    )
