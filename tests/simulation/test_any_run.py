"""The whole supervisor with any children, signals, probes and notifications, then SIGTERM."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, Signals
from typing import Optional

from hypothesis import event, given, settings
from hypothesis import strategies as st

from django_prodserver.supervisor import run as pump
from django_prodserver.supervisor.instance import MOVES
from django_prodserver.supervisor.model import (
    JITTER,
    SWEEP_AFTER,
    Effect,
    Exited,
    ExitStatus,
    GroupGone,
    Happening,
    HealthCheck,
    Notified,
    OutputGone,
    Restart,
    Signalled,
    Spec,
    State,
    StateChanged,
    Watchdog,
)
from django_prodserver.supervisor.supervisor import Supervisor

from .world import Child, Life, Member, World

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
HEALTHCHECKS = st.builds(
    HealthCheck,
    interval=st.sampled_from([10.0, 1.0, 0.5]),
    timeout=st.sampled_from([3.0, 0.25]),
    retries=st.integers(1, 3),
    start_period=st.sampled_from([0.0, 5.0]),
)
SPECS = st.builds(
    Spec,
    name=st.just(""),
    oneshot=st.sampled_from([False, False, False, True]),
    stop_signal=st.sampled_from([SIGTERM, SIGTERM, SIGINT, SIGQUIT]),
    # 0.7 times each is a binary fraction, too.
    stop_timeout=st.sampled_from([25.0, 25.0, 5.0, 2.5]),
    stop_group=st.booleans(),
    last_signal=st.sampled_from([None, None, SIGQUIT]),
    notifies=st.booleans(),
    connects=st.sampled_from([False, False, True]),
    ready_timeout=st.sampled_from([60.0, 1.0]),
    success=st.frozensets(st.sampled_from([1, 3]), max_size=1),
    forwards=st.frozensets(st.sampled_from([SIGUSR1, SIGUSR2])),
    restart=st.sampled_from(Restart),
    recycles=st.booleans(),
    backoff_initial=st.sampled_from([0.0, 0.5, 0.5, 4.0]),
    backoff_max=st.sampled_from([30.0, 4.0]),
    start_burst=st.integers(1, 5),
    start_interval=st.sampled_from([60.0, 2.0]),
    healthcheck=st.none() | HEALTHCHECKS,
    watchdog=st.sampled_from([None, None, 1.0, 20.0]),
    max_memory=st.sampled_from([None, None, 100]),
)
NOTIFICATIONS = st.builds(
    Notified,
    pid=st.just(0),
    ready=st.booleans(),
    status=st.none() | st.sampled_from(["", "READY=1"]),
    stopping=st.booleans(),
    extend_timeout=st.none() | seconds(30),
    watchdog=st.sampled_from([None, None, Watchdog.PING, Watchdog.PING, Watchdog.TRIGGER]),
    error=st.sampled_from(["", "Address already in use"]),
)
LIVES = st.builds(
    Life,
    # One in sixteen, so that most runs get beyond their start.
    cannot_start=st.integers(0, 15).map(lambda n: "no memory" if n == 15 else ""),
    ready_after=st.none() | seconds(2),
    says=st.lists(st.tuples(seconds(30), NOTIFICATIONS), max_size=3).map(tuple),
    connects_after=st.none() | seconds(2),
    exits_after=st.none() | st.none() | seconds(60) | seconds(2),
    status=STATUSES,
    out_of_memory=st.booleans(),
    stops_after=seconds(1) | seconds(1) | seconds(5) | seconds(30) | st.none(),
    last_step_after=seconds(5) | st.none(),
    stop_status=STATUSES,
    members=st.lists(st.builds(Member, st.none() | seconds(60), st.booleans()), max_size=2).map(
        tuple
    ),
    health=st.lists(st.sampled_from(["", "", "HTTP 500", None]), min_size=1, max_size=5).map(tuple),
    answers_after=st.sampled_from([0.0, 0.0, 0.25, 5.0]),
    memory=st.lists(st.sampled_from([50, 50, 150]), min_size=1, max_size=3).map(tuple),
)
CHILDREN = st.builds(Child, spec=SPECS, lives=st.lists(LIVES, min_size=1, max_size=4).map(tuple))
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
    jitters: tuple[float, ...]
    watchdog: Optional[float]

    def world(self) -> World:
        return World(
            self.children,
            [*self.signals, (LAST_SIGNAL_AT, SIGTERM)],
            output_gone_at=self.output_gone_at,
            adopts=self.adopts,
            spawn_takes=self.spawn_takes,
            kill_takes=self.kill_takes,
            jitters=self.jitters,
        )

    def supervisor(self) -> Supervisor:
        return Supervisor([child.spec for child in self.children], watchdog=self.watchdog)


@st.composite
def children(draw: st.DrawFn) -> tuple[Child, ...]:
    """Some that come after others, in any order of their names, without a cycle."""
    drawn = draw(st.lists(CHILDREN, min_size=1, max_size=4))
    names = draw(st.permutations([f"p{number}.1" for number in range(len(drawn))]))
    named = []
    for number, child in enumerate(drawn):
        after = draw(st.frozensets(st.sampled_from(names[:number]))) if number else frozenset()
        spec = replace(child.spec, name=names[number], after=after)
        if spec.last_signal is spec.stop_signal:
            spec = replace(spec, last_signal=None)
        named.append(replace(child, spec=spec))
    return tuple(sorted(named, key=lambda child: child.spec.name))


SCENARIOS = st.builds(
    Scenario,
    children=children(),
    signals=SIGNALS.map(tuple),
    output_gone_at=st.none() | st.none() | st.none() | seconds(60),
    adopts=st.booleans(),
    spawn_takes=st.sampled_from([0.0, 0.0, 0.25, 1.0]),
    kill_takes=st.sampled_from([0.25, 0.5]),
    jitters=st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=3).map(tuple),
    watchdog=st.sampled_from([None, None, 5.0]),
)


# ---- what has to come of it, told from the history alone ----


@dataclass
class Told:
    """What is known of an instance's present life."""

    pid: int = 0
    alive: bool = False
    ready: bool = False
    faulty: bool = False
    asked: bool = False
    overdue: bool = False
    finished: bool = False
    # Starts that count, and whether the next one does.
    starts: int = 0


class History:
    """What followed what, and what must follow from it by the design's tables."""

    def __init__(self, world: World) -> None:
        self.specs = {name: child.spec for name, child in world.children.items()}
        self.by_pid = {pid: leader.spec for pid, leader in world.leaders.items()}
        self.exits = {
            happening.pid: (at, happening.status)
            for at, happening in world.told
            if isinstance(happening, Exited)
        }
        self.told = {name: Told() for name in self.specs}
        self.reason_at: Optional[float] = None
        self.verdict = 0
        # Every stop signal that was sent, and the times at which SIGKILL was.
        self.stop_signals: list[tuple[float, Signals]] = []
        for index, (at, item) in enumerate(world.history):
            rest = [what for _, what in world.history[index + 1 :]]
            if isinstance(item, str) and item.startswith("say all stopped"):
                break  # What comes now comes too late.
            if isinstance(item, str):
                self._did(at, item)
            elif isinstance(item, Signalled) and item.signal in STOP:
                self.stop_signals.append((at, item.signal))
                self._reason(at, STOP[item.signal])
            elif isinstance(item, OutputGone):
                self._reason(at, 141)
            elif isinstance(item, Exited):
                self._exited(at, item, rest)

    @property
    def exit_status(self) -> int:
        if any(told.overdue for told in self.told.values()):
            return 1
        if len(self.stop_signals) > 1:
            return 128 + self.stop_signals[-1][1]
        return self.verdict

    def followers(self, name: str) -> Iterator[str]:
        for one, spec in self.specs.items():
            if name in spec.after:
                yield one
                yield from self.followers(one)

    def _reason(self, at: float, verdict: int) -> None:
        if self.reason_at is None:
            self.reason_at, self.verdict = at, verdict

    def _did(self, at: float, what: str) -> None:
        verb, first, *words = what.split()
        if verb == "spawn":
            self._spawned(at, first, words)
        elif verb in ("kill", "killpg") and words[0] == self.by_pid[int(first)].stop_signal.name:
            self._asked(int(first))
        elif verb == "say" and first in self.told:
            told = self.told[first]
            told.ready = told.ready or words[0] == "ready"
            told.faulty = told.faulty or words[-2:] == ["stopping", "it"]
            told.overdue = told.overdue or words[:3] == ["did", "not", "stop"]
            # Its last life does not count any more.
            told.overdue = told.overdue and "restarting" not in words

    def _spawned(self, at: float, name: str, words: Sequence[str]) -> None:
        assert self.reason_at is None or at == self.reason_at, "started while stopping"
        if words[0] == "no":
            self._reason(at, 1)
            return
        for one in self.specs[name].after:
            ahead = self.told[one]
            started_before = self.told[name].pid != 0
            ready = ahead.finished if self.specs[one].oneshot else ahead.ready
            assert ready or started_before, f"{name} was started before {one} was ready"
        self.told[name] = Told(int(words[0]), alive=True)

    def _asked(self, pid: int) -> None:
        told = self.told[self.by_pid[pid].name]
        assert not told.asked, "asked twice"
        told.asked = True
        if self.reason_at is not None and not told.faulty:
            for one in self.followers(self.by_pid[pid].name):
                assert not self.told[one].alive, f"asked before {one}, which comes after it"

    def _exited(self, at: float, exited: Exited, rest: Sequence[object]) -> None:
        spec = self.by_pid[exited.pid]
        told = self.told[spec.name]
        told.alive = False
        failed = told.faulty or exited.status.shell != 0
        if spec.oneshot and not told.asked and exited.status.code == 0:
            told.finished = True
            if all(one.finished for one in self.told.values()):
                self._reason(at, 0)
        elif self.reason_at is None:
            recycled = spec.recycles and told.ready and not failed
            restarts = {
                Restart.NEVER: False,
                Restart.ON_FAILURE: failed or recycled,
                Restart.ALWAYS: True,
            }[spec.restart]
            said = [what for what in rest if isinstance(what, str) and what.startswith("say ")]
            given_up = any(what.startswith(f"say {spec.name} failed for good") for what in said[:2])
            if not restarts or (given_up and not recycled):
                self._reason(at, exited.status.shell or 1)
            else:
                assert "; restarting" in said[0]


@given(SCENARIOS)
@settings(max_examples=5 * EXAMPLES)
def test_it_ends_in_time_with_nobody_left_and_the_status_of_the_table(scenario: Scenario) -> None:
    world, supervisor = scenario.world(), scenario.supervisor()

    status = pump.run(supervisor, world)

    history = History(world)
    nobody_is_left(world)
    killed_only_as_groups_and_only_when_due(scenario, world, history)
    passed_on_only_to_who_declared_it(world)
    restarted_after_a_pause_and_not_too_often(world, history)
    in_time(scenario, world, history)
    assert status == history.exit_status
    lines = [what for _, what in world.trace if what.startswith("say ")]
    assert lines[-1].startswith("say all stopped after ")
    assert lines[-1].endswith(f"; exit status {status}")
    nothing_follows(supervisor, world)
    describe(world, history, status)


def nobody_is_left(world: World) -> None:
    assert world.alive == []
    assert world.reaped == set(world.leaders)
    told = Counter(type(happening) for _, happening in world.told)
    assert told[Exited] == told[GroupGone] == len(world.leaders)


def killed_only_as_groups_and_only_when_due(
    scenario: Scenario, world: World, history: History
) -> None:
    # While others are being started, what was decided is done late, and so is what is due.
    late = scenario.spawn_takes * len(history.specs)
    gone = {h.pid: at for at, h in world.told if isinstance(h, GroupGone)}
    again = {at for at, _ in history.stop_signals[1:]}
    asked: dict[int, float] = {}
    overdue = {
        (at, words[1])
        for at, words in ((at, what.split()) for at, what in world.trace)
        if words[2:5] == ["did", "not", "stop"]
    }
    for at, pid, signal, group in world.kills:
        spec = history.by_pid[pid]
        exited_at, _ = history.exits[pid]
        # Beyond that, the number may belong to somebody else.
        assert at <= (gone[pid] if group else exited_at)
        if signal is SIGKILL:
            assert group
            if at not in again and at <= exited_at and (at, spec.name) in overdue:
                assert abs(at - asked[pid] - spec.stop_timeout) <= late
            elif at not in again:
                assert at >= exited_at
        elif signal is spec.stop_signal and group == spec.stop_group:
            asked[pid] = at
        elif signal is spec.last_signal:
            assert abs(at - asked[pid] - 0.7 * spec.stop_timeout) <= late


def passed_on_only_to_who_declared_it(world: World) -> None:
    came = [(at, h.signal) for at, h in world.told if isinstance(h, Signalled)]
    for at, pid, signal, group in world.kills:
        if signal in (SIGUSR1, SIGUSR2):
            assert signal in world.leaders[pid].spec.forwards
            assert (at, signal) in came
            assert not group


def restarted_after_a_pause_and_not_too_often(world: World, history: History) -> None:
    """Between the bounds of the backoff; without one only after a recycle."""
    starts: dict[str, list[float]] = defaultdict(list)
    ended: dict[str, tuple[float, ExitStatus]] = {}
    for at, item in world.history:
        if isinstance(item, Exited):
            ended[history.by_pid[item.pid].name] = (at, item.status)
        words = item.split() if isinstance(item, str) else []
        if words[:1] == ["spawn"] and words[2] != "no":
            spec = history.specs[words[1]]
            exited_at, status = ended.get(spec.name, (0.0, ExitStatus(code=0)))
            least = (1 - JITTER) * min(spec.backoff_initial, spec.backoff_max)
            if spec.recycles and status.code == 0 and spec.name in ended:
                continue  # It may be a recycle, which is at once, and counts not.
            assert spec.name not in ended or at - exited_at >= least
            starts[spec.name].append(at)
    for name, times in starts.items():
        spec = history.specs[name]
        late = 1.5  # A start may take longer than planned, which is what counts.
        for first, later in zip(times, times[spec.start_burst :]):
            assert later - first >= spec.start_interval - late


def in_time(scenario: Scenario, world: World, history: History) -> None:
    longest = max(chain(history.specs, name) for name in history.specs)
    links = len(history.specs)
    # One sweep for what outlived its leader; where nobody reports its end, another to find out.
    sweep = SWEEP_AFTER + (scenario.kill_takes if scenario.adopts else SWEEP_AFTER)
    spawning = links * scenario.spawn_takes
    assert history.reason_at is not None
    took = world.now() - history.reason_at
    assert took <= longest + links * scenario.kill_takes + sweep + spawning


def chain(specs: Mapping[str, Spec], name: str) -> float:
    """The sum of stop timeouts along the longest chain that ends with this one."""
    ahead = max((chain(specs, one) for one in specs[name].after), default=0.0)
    return specs[name].stop_timeout + ahead


def nothing_follows(supervisor: Supervisor, world: World) -> None:
    for happening in (Signalled(SIGINT), Signalled(SIGUSR1), Signalled(SIGHUP), OutputGone()):
        assert supervisor.happened(world.now(), happening) == []
    assert supervisor.tick(world.now() + 1000) == []
    assert supervisor.deadline is None


def describe(world: World, history: History, status: int) -> None:
    """For `pytest --hypothesis-show-statistics`: how often what was met."""
    event(f"exit status {status}")
    spawns = Counter(leader.spec.name for leader in world.leaders.values())
    event(f"{max(spawns.values(), default=0)} lives")
    said = " ".join(what for _, what in world.trace)
    if any(what.endswith("; restarting") for _, what in world.trace):
        event("restarting at once")
    for words in (
        "restarting in",
        "failed for good",
        "is unhealthy: HTTP",
        "no answer within",
        "no WATCHDOG=1",
        "WATCHDOG=trigger",
        "was not ready within",
        "MAX_MEMORY",
        "out of memory",
        "finished after",
        "still running",
        "sending it SIGQUIT",
        "did not stop within",
        "killing everything",
    ):
        if words in said:
            event(words)


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
