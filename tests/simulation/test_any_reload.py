"""Reloads of any children: afterwards everything runs the new load, or still the old one."""

from __future__ import annotations

from dataclasses import dataclass
from signal import SIGHUP, SIGTERM
from typing import Optional

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from django_prodserver.supervisor import pump
from django_prodserver.supervisor.facts import Fact, Reloaded, ReloadFailed
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.life import WORKING

from .test_any_run import EXAMPLES, LAST_SIGNAL_AT, REQUESTS, children, seconds
from .world import Child, World

pytestmark = pytest.mark.timeout(1800)


@dataclass(frozen=True)
class Scenario:
    children: tuple[Child, ...]
    # How long each reload takes, and what it loads; None if it fails.
    loads: tuple[tuple[float, Optional[tuple[Child, ...]]], ...]
    reloads: tuple[float, ...]
    requests: tuple[tuple[float, object], ...]
    stop_at: float
    adopts: bool
    at_once: bool
    stalls: tuple[tuple[float, float], ...]


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    first = draw(children())
    others = children() | st.just(first)
    return Scenario(
        children=first,
        loads=tuple(
            draw(
                st.lists(st.tuples(seconds(5), st.none() | others | others), min_size=1, max_size=3)
            )
        ),
        reloads=tuple(draw(st.lists(seconds(30), min_size=1, max_size=4))),
        requests=tuple(draw(st.lists(st.tuples(seconds(40), REQUESTS), max_size=3))),
        stop_at=draw(seconds(60, 1) | st.just(LAST_SIGNAL_AT)),
        adopts=draw(st.booleans()),
        at_once=draw(st.booleans()),
        stalls=draw(st.just(()) | st.just(((5.0, 9.0),))),
    )


@given(scenarios())
@settings(max_examples=3 * EXAMPLES)
def test_each_reload_changes_everything_or_nothing(scenario: Scenario) -> None:
    signals = [*((at, SIGHUP) for at in scenario.reloads), (scenario.stop_at, SIGTERM)]
    # This may be the second SIGTERM, which kills whatever is left.
    signals += [(LAST_SIGNAL_AT, SIGTERM)]
    world = World(
        scenario.children,
        sorted(signals),
        requests=scenario.requests,  # type: ignore[arg-type]
        adopts=scenario.adopts,
        stalls=scenario.stalls,
        loads=scenario.loads,
    )
    specs = [child.spec for child in scenario.children]
    group = Group(specs, reloads=True, at_once=scenario.at_once)
    ended: list[Fact] = []

    def observe(fact: Fact) -> None:
        if isinstance(fact, (Reloaded, ReloadFailed)):
            ended.append(fact)
            if not (isinstance(fact, ReloadFailed) and fact.why == "everything is being stopped"):
                everything_runs_one_load(group, fact)

    pump.run(group, world, [*world.observers, observe])

    for fact in ended:
        event(type(fact).__name__)
        if isinstance(fact, ReloadFailed):
            event(f"failed, rolled back: {fact.rolled_back}")
    assert all(one.unkillable for one in world.alive)
    assert not world.unanswered


def everything_runs_one_load(group: Group, fact: Fact) -> None:
    """Every life that works and is not being stopped runs the same load."""
    for instance in group.instances.values():
        for life in instance.lives:
            if life.state in WORKING:
                assert life.ref.generation == group.generation, f"{instance.spec.name} after {fact}"
