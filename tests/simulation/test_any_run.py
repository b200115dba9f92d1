"""The whole supervisor with any children and any signals, then SIGTERM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, Signals
from typing import Optional

from hypothesis import event, given, settings
from hypothesis import strategies as st

from django_prodserver.supervisor import run as pump
from django_prodserver.supervisor.instance import MOVES
from django_prodserver.supervisor.model import (
    SWEEP_AFTER,
    Effect,
    Exited,
    ExitStatus,
    GroupGone,
    Happening,
    OutputGone,
    Signalled,
    Spec,
    State,
    StateChanged,
)
from django_prodserver.supervisor.supervisor import Supervisor

from .world import Child, Member, World

EXAMPLES = settings().max_examples
STOP = {SIGTERM: 0, SIGQUIT: 0, SIGINT: 130}
LAST_SIGNAL_AT = 80.0

# ---- any run ----


def seconds(most: float, least: float = 0.0) -> st.SearchStrategy[float]:
    return st.integers(int(least * 4), int(most * 4)).map(lambda quarters: quarters / 4)


STATUSES = st.one_of(
    st.sampled_from([0, 0, 1, 3, 255]).map(lambda code: ExitStatus(code=code)),
    st.sampled_from([2, 9, 11, 15]).map(lambda number: ExitStatus(signal=number)),
)
SPECS = st.builds(
    Spec,
    name=st.just(""),
    stop_signal=st.sampled_from([SIGTERM, SIGTERM, SIGINT, SIGQUIT]),
    stop_timeout=st.sampled_from([25.0, 25.0, 5.0, 1.0, 0.25]),
    stop_group=st.booleans(),
    notifies=st.booleans(),
    success=st.frozensets(st.sampled_from([1, 3]), max_size=1),
    forwards=st.frozensets(st.sampled_from([SIGUSR1, SIGUSR2])),
)
CHILDREN = st.builds(
    Child,
    spec=SPECS,
    # One in sixteen, so that most runs get beyond their start.
    cannot_start=st.integers(0, 15).map(lambda n: "no memory" if n == 15 else ""),
    ready_after=st.none() | seconds(2),
    exits_after=st.none() | st.none() | seconds(60),
    status=STATUSES,
    stops_after=seconds(1) | seconds(1) | seconds(5) | seconds(30) | st.none(),
    stop_status=STATUSES,
    members=st.lists(st.builds(Member, st.none() | seconds(60), st.booleans()), max_size=2).map(
        tuple
    ),
)
SIGNALS = st.lists(
    st.tuples(
        seconds(60) | seconds(5),
        st.sampled_from([SIGUSR1, SIGUSR2, SIGHUP, SIGTERM, SIGINT, SIGQUIT]),
    ),
    max_size=4,
)


@dataclass(frozen=True)
class Scenario:
    children: tuple[Child, ...]
    signals: tuple[tuple[float, Signals], ...]
    output_gone_at: Optional[float]
    adopts: bool
    spawn_takes: float
    kill_takes: float

    def world(self) -> World:
        return World(
            self.children,
            [*self.signals, (LAST_SIGNAL_AT, SIGTERM)],
            output_gone_at=self.output_gone_at,
            adopts=self.adopts,
            spawn_takes=self.spawn_takes,
            kill_takes=self.kill_takes,
        )

    def supervisor(self) -> Supervisor:
        return Supervisor([child.spec for child in self.children])


def named(children: Sequence[Child]) -> tuple[Child, ...]:
    return tuple(
        replace(child, spec=replace(child.spec, name=f"p{number}.1"))
        for number, child in enumerate(children)
    )


SCENARIOS = st.builds(
    Scenario,
    children=st.lists(CHILDREN, min_size=1, max_size=4).map(named),
    signals=SIGNALS.map(tuple),
    output_gone_at=st.none() | st.none() | st.none() | seconds(60),
    adopts=st.booleans(),
    spawn_takes=st.sampled_from([0.0, 0.0, 0.25, 1.0]),
    kill_takes=st.sampled_from([0.25, 0.5]),
)


# ---- what has to come of it, told from the history alone ----


class History:
    """What the supervisor was told, and what must follow from it by the design's tables."""

    def __init__(self, world: World) -> None:
        self.specs = {pid: world.leaders[pid].child.spec for pid in world.leaders}
        self.exits = {
            happening.pid: (at, happening.status)
            for at, happening in world.told
            if isinstance(happening, Exited)
        }
        self.stop_signals = [
            (at, happening.signal)
            for at, happening in world.told
            if isinstance(happening, Signalled) and happening.signal in STOP
        ]
        self.reason_at, self.verdict = self._first_reason(world)

    def _first_reason(self, world: World) -> tuple[float, int]:
        failed = [
            at for at, what in world.trace if what.endswith(": no memory") and "spawn" in what
        ]
        if failed:
            return failed[0], 1
        for at, happening in world.told:
            if isinstance(happening, Signalled) and happening.signal in STOP:
                return at, STOP[happening.signal]
            if isinstance(happening, Exited):
                number = happening.status.signal
                return at, happening.status.code or 1 if number is None else 128 + number
            if isinstance(happening, OutputGone):
                return at, 141
        raise AssertionError("it stopped without a reason")

    @property
    def second_signal_at(self) -> float:
        return self.stop_signals[1][0] if len(self.stop_signals) > 1 else float("inf")

    def is_overdue(self, pid: int) -> bool:
        """It lived beyond its stop timeout, and nobody had asked a second time by then."""
        end = self.reason_at + self.specs[pid].stop_timeout
        return self.exits[pid][0] > end and self.second_signal_at > end

    @property
    def exit_status(self) -> int:
        if any(self.is_overdue(pid) for pid in self.specs):
            return 1
        if len(self.stop_signals) > 1:
            return 128 + self.stop_signals[-1][1]
        return self.verdict


@given(SCENARIOS)
@settings(max_examples=5 * EXAMPLES)
def test_it_ends_in_time_with_nobody_left_and_the_status_of_the_table(scenario: Scenario) -> None:
    world, supervisor = scenario.world(), scenario.supervisor()

    status = pump.run(supervisor, world)

    history = History(world)
    nobody_is_left(world)
    asked_once_at_once_and_only_who_lived(world, history)
    killed_only_as_groups_and_only_when_due(world, history)
    passed_on_only_to_who_declared_it(world)
    in_time(scenario, world, history)
    assert status == history.exit_status
    assert world.trace[-1][1].startswith("say all stopped after ")
    assert world.trace[-1][1].endswith(f"; exit status {status}")
    nothing_follows(supervisor, world)
    describe(world, history, status)


def nobody_is_left(world: World) -> None:
    assert world.alive == []
    assert world.reaped == set(world.leaders)
    told = Counter(type(happening) for _, happening in world.told)
    assert told[Exited] == told[GroupGone] == len(world.leaders)
    # Nobody was restarted, so a second pid would be one too many.
    names = [process.child.spec.name for process in world.leaders.values()]
    assert len(names) == len(set(names))


def asked_once_at_once_and_only_who_lived(world: World, history: History) -> None:
    asked = [kill for kill in world.kills if kill[2] in STOP]
    # Who is told to be dead in the same moment, but later, is asked too: it was not known yet.
    lived = [pid for pid, (at, _) in history.exits.items() if at > history.reason_at]
    assert {pid for _, pid, _, _ in asked} >= set(lived)
    assert [pid for _, pid, _, _ in asked] == sorted({pid for _, pid, _, _ in asked})
    for at, pid, signal, group in asked:
        spec = history.specs[pid]
        assert (at, signal, group) == (history.reason_at, spec.stop_signal, spec.stop_group)
        assert history.exits[pid][0] >= history.reason_at
    assert all(process.stop_signals <= 1 for process in world.leaders.values())


def killed_only_as_groups_and_only_when_due(world: World, history: History) -> None:
    gone = {h.pid: at for at, h in world.told if isinstance(h, GroupGone)}
    again = [at for at, _ in history.stop_signals[1:]]
    for at, pid, signal, group in world.kills:
        exited_at, _ = history.exits[pid]
        # Beyond that, the number may belong to somebody else.
        assert at <= (gone[pid] if group else exited_at)
        if signal is SIGKILL:
            overdue = at == history.reason_at + history.specs[pid].stop_timeout
            left_behind = at > exited_at and any(
                at > since and (at - since) % SWEEP_AFTER == 0 for since in [exited_at, *again]
            )
            assert group
            assert overdue or at in again or left_behind


def passed_on_only_to_who_declared_it(world: World) -> None:
    came = [(at, h.signal) for at, h in world.told if isinstance(h, Signalled)]
    for at, pid, signal, group in world.kills:
        if signal in (SIGUSR1, SIGUSR2):
            assert signal in world.leaders[pid].child.spec.forwards
            assert (at, signal) in came
            assert not group


def in_time(scenario: Scenario, world: World, history: History) -> None:
    longest = max((spec.stop_timeout for spec in history.specs.values()), default=0.0)
    # One sweep for what outlived its leader; where nobody reports its end, another to find out.
    sweep = SWEEP_AFTER + (scenario.kill_takes if scenario.adopts else SWEEP_AFTER)
    if not history.specs:
        sweep = 0.0
    assert world.now() - history.reason_at <= longest + scenario.kill_takes + sweep


def nothing_follows(supervisor: Supervisor, world: World) -> None:
    for happening in (Signalled(SIGINT), Signalled(SIGUSR1), Signalled(SIGHUP), OutputGone()):
        assert supervisor.happened(world.now(), happening) == []
    assert supervisor.tick(world.now() + 1000) == []
    assert supervisor.deadline is None


def describe(world: World, history: History, status: int) -> None:
    """For `pytest --hypothesis-show-statistics`: how often what was met."""
    event(f"exit status {status}")
    event(f"{len(world.leaders)} of {len(world.children)} started")
    if any(history.is_overdue(pid) for pid in history.specs):
        event("somebody was overdue")
    if len(history.stop_signals) > 1:
        event("a second signal")


@given(SCENARIOS)
def test_the_same_run_has_the_same_trace(scenario: Scenario) -> None:
    worlds = [scenario.world(), scenario.world()]
    for world in worlds:
        pump.run(scenario.supervisor(), world)

    assert worlds[0].trace == worlds[1].trace


@given(SCENARIOS)
def test_each_instance_goes_from_state_to_state_by_the_table_of_moves(scenario: Scenario) -> None:
    supervisor = Recording([child.spec for child in scenario.children])

    pump.run(supervisor, scenario.world())

    states = dict.fromkeys(supervisor.instances, State.STOPPED)
    for change in supervisor.changes:
        assert change.old is states[change.name]
        assert change.new in MOVES[change.old]
        states[change.name] = change.new
    assert set(states.values()) <= {State.STOPPED, State.EXITED, State.FATAL}
    assert states == {name: i.state for name, i in supervisor.instances.items()}


class Recording(Supervisor):
    """A supervisor that remembers every change of state that it told."""

    def __init__(self, specs: Sequence[Spec]) -> None:
        super().__init__(specs)
        self.changes: list[StateChanged] = []

    def start(self, now: float) -> list[Effect]:
        return self._record(super().start(now))

    def spawned(self, now: float, name: str, pid: int) -> list[Effect]:
        return self._record(super().spawned(now, name, pid))

    def spawn_failed(self, now: float, name: str, why: str) -> list[Effect]:
        return self._record(super().spawn_failed(now, name, why))

    def happened(self, now: float, happening: Happening) -> list[Effect]:
        return self._record(super().happened(now, happening))

    def tick(self, now: float) -> list[Effect]:
        return self._record(super().tick(now))

    def _record(self, effects: list[Effect]) -> list[Effect]:
        self.changes += [effect for effect in effects if isinstance(effect, StateChanged)]
        return effects
