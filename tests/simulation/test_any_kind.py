"""Locks, schedules and loads of any children, with signals, requests and reloads.

The world itself refuses to start a life without its lock, to take a lock twice, and to release a
lock while a life needs it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from signal import SIGHUP, SIGTERM
from typing import Optional

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from django_prodserver.supervisor import pump
from django_prodserver.supervisor.events import Exited, LockLost, Request
from django_prodserver.supervisor.facts import Fact, Scaled, StoppingAll
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.instance import STOP_WITHOUT_LOCK
from django_prodserver.supervisor.spec import Autoscale, Exclusion, RestartPolicy, Spec
from django_prodserver.supervisor.values import replace as changed

from .test_any_run import EXAMPLES, LAST_SIGNAL_AT, REQUESTS, STRETCHES, children, seconds
from .world import Child, World

pytestmark = pytest.mark.timeout(1800)

RULES = st.builds(
    Autoscale,
    metric=st.just("queue"),
    target=st.sampled_from([1.0, 4.0]),
    least=st.integers(0, 2),
    most=st.integers(2, 4),
    interval=st.sampled_from([1.0, 5.0]),
    stabilization=st.sampled_from([0.0, 10.0]),
    divided=st.booleans(),
)
# The kinds of instances that only this test has.
KINDS = (
    "plain",
    "once",
    "singleton",
    "scheduled",
    "scheduled once",
    "scheduled singleton",
    "scaled",
)


@dataclass(frozen=True)
class Scenario:
    children: tuple[Child, ...]
    loads: tuple[tuple[float, Optional[tuple[Child, ...]]], ...]
    reloads: tuple[float, ...]
    requests: tuple[tuple[float, Request], ...]
    stop_at: float
    adopts: bool
    kill_takes: float

    def world(self) -> World:
        signals = [*((at, SIGHUP) for at in self.reloads), (self.stop_at, SIGTERM)]
        return World(
            self.children,
            sorted([*signals, (LAST_SIGNAL_AT, SIGTERM)]),
            requests=self.requests,
            adopts=self.adopts,
            kill_takes=self.kill_takes,
            loads=self.loads,
        )


def of_kind(spec: Spec, kind: str, rule: Autoscale) -> Spec:
    """A spec that the settings allow: LOCK and SCHEDULE need a oneshot, SINGLETON one life."""
    if kind == "scaled":
        return changed(spec, oneshot=False, autoscale=rule)
    exclusion = Exclusion.NONE
    if "once" in kind:
        exclusion = Exclusion.ONCE
    elif "singleton" in kind:
        exclusion = Exclusion.SINGLETON
    scheduled = "scheduled" in kind
    oneshot = scheduled or exclusion is Exclusion.ONCE or (spec.oneshot and kind == "plain")
    if kind != "plain":
        spec = changed(spec, start_first=False)
    if oneshot and spec.restart is RestartPolicy.ALWAYS:
        spec = changed(spec, restart=RestartPolicy.NEVER)
    return changed(spec, oneshot=oneshot, scheduled=scheduled, exclusion=exclusion)


@st.composite
def projects(draw: st.DrawFn) -> tuple[Child, ...]:
    found = []
    for child in draw(children()):
        found.append(
            replace(
                child,
                spec=of_kind(child.spec, draw(st.sampled_from(KINDS)), draw(RULES)),
                rivals=draw(STRETCHES),
                lock_lost_at=tuple(draw(st.lists(seconds(60), max_size=2))),
                runs_after=tuple(
                    draw(st.lists(st.sampled_from([0.0, 1.0, 10.0, 90.0]), min_size=1, max_size=3))
                ),
                loads=tuple(
                    draw(
                        st.lists(
                            st.sampled_from([0.0, 1.0, 5.0, 50.0, None]), min_size=1, max_size=5
                        )
                    )
                ),
            )
        )
    return tuple(found)


SCENARIOS = st.builds(
    Scenario,
    children=projects(),
    loads=st.lists(st.tuples(seconds(5), st.none() | projects()), min_size=1, max_size=2).map(
        tuple
    ),
    reloads=st.just(()) | st.just(()) | st.lists(seconds(30), min_size=1, max_size=2).map(tuple),
    requests=st.just(()) | st.lists(st.tuples(seconds(40), REQUESTS), max_size=3).map(tuple),
    stop_at=seconds(70, 1) | st.just(LAST_SIGNAL_AT),
    adopts=st.booleans(),
    kill_takes=st.sampled_from([0.25, 0.5]),
)


@given(SCENARIOS)
@settings(max_examples=EXAMPLES)
def test_every_run_ends_and_then_only_unkillable_lives_hold_locks(scenario: Scenario) -> None:
    world = scenario.world()
    specs = [child.spec for child in scenario.children]
    group = Group(specs, reloads=True)
    scaled: list[Scaled] = []
    stopping = False

    def observe(fact: Fact) -> None:
        nonlocal stopping
        stopping = stopping or isinstance(fact, StoppingAll)
        if isinstance(fact, Scaled):
            assert not stopping, "it scales what is being stopped"
            scaled.append(fact)

    pump.run(group, world, [*world.observers, observe])

    assert all(one.unkillable for one in world.alive)
    assert not world.unanswered
    # A life that survives SIGKILL may still do the work that its lock protects.
    assert {*world.locks} <= {one.ref.name for one in world.alive}
    stopped_once_a_lock_is_lost(world, scenario.kill_takes)
    if not scenario.reloads:
        within_its_bounds(scenario, scaled)
        not_before_it_is_planned(scenario, world)
    describe(world, scaled)


def stopped_once_a_lock_is_lost(world: World, kill_takes: float) -> None:
    """It stops before another supervisor may take the lock; only a oneshot goes on."""
    exits = {told.ref: at for at, told in world.told if isinstance(told, Exited)}
    for at, told in world.told:
        if not isinstance(told, LockLost):
            continue
        for leader in world.leaders.values():
            began = leader.since <= at < exits.get(leader.ref, inf)
            if leader.spec.name != told.name or not began or leader.unkillable:
                continue
            if leader.spec.exclusion is Exclusion.SINGLETON and not leader.spec.oneshot:
                assert exits[leader.ref] <= at + STOP_WITHOUT_LOCK + kill_takes, told


def within_its_bounds(scenario: Scenario, scaled: list[Scaled]) -> None:
    rules = {child.spec.process: child.spec.autoscale for child in scenario.children}
    for fact in scaled:
        rule = rules[fact.process]
        assert rule is not None
        assert rule.least <= fact.new <= rule.most


def not_before_it_is_planned(scenario: Scenario, world: World) -> None:
    """Each run starts no sooner than planned; a failed run is retried at once."""
    if scenario.requests:
        return
    planned: dict[str, float] = {}
    for at, what in world.history:
        if not isinstance(what, str):
            continue
        words = what.split()
        if words[0] == "plan":
            planned[words[1]] = at
        elif words[0] == "spawn" and words[1].rstrip(":") in planned:
            child = world.children[words[1].rstrip(":")]
            if child.spec.restart is RestartPolicy.NEVER:
                after = at - planned[child.spec.name]
                assert after >= min(child.runs_after), f"{child.spec.name} runs after {after} s"


def describe(world: World, scaled: list[Scaled]) -> None:
    """Count what happened, for `pytest --hypothesis-show-statistics`."""
    for kind in {type(told).__name__ for _, told in world.told}:
        if kind.startswith(("Lock", "Run", "Load")):
            event(kind)
    event(f"{min(len(scaled), 3)} times scaled")
