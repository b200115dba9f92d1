"""The whole supervisor with any children, signals, probes and notifications, then SIGTERM."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, takewhile
from math import inf
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, Signals
from typing import Optional

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from django_prodserver.supervisor import pump
from django_prodserver.supervisor.events import (
    Exited,
    ExitStatus,
    GoalRequest,
    GroupGone,
    Notified,
    OutputGone,
    OutputResumed,
    OutputStalled,
    PreloadFailed,
    Request,
    RestartRequest,
    ScaleRequest,
    Signalled,
    Spawned,
    SpawnFailed,
    WatchdogMessage,
)
from django_prodserver.supervisor.facts import Fact, State, StateChanged
from django_prodserver.supervisor.group import SIGNAL_MAY_FOLLOW, SIGNALLED_TOGETHER, Group
from django_prodserver.supervisor.life import LOSE_AFTER, SWEEP_AFTER
from django_prodserver.supervisor.restarts import JITTER
from django_prodserver.supervisor.snapshot import GroupSnapshot
from django_prodserver.supervisor.spec import (
    CheckSchedule,
    Goal,
    ReadyProbe,
    RestartPolicy,
    Spec,
    process_of,
)
from django_prodserver.supervisor.values import replace as changed

from .world import NOBODY, Behaviour, Child, Member, World

# All examples together may take this long on a busy machine.
pytestmark = pytest.mark.timeout(1800)

EXAMPLES = settings().max_examples
STOP = {SIGTERM: 0, SIGQUIT: 0, SIGINT: 130}
LAST_SIGNAL_AT = 80.0

# ---- strategies ----


def seconds(most: float, least: float = 0.0) -> st.SearchStrategy[float]:
    return st.integers(int(least * 4), int(most * 4)).map(lambda quarters: quarters / 4)


STATUSES = st.one_of(
    st.sampled_from([0, 0, 1, 3, 143, 255]).map(lambda code: ExitStatus(code=code)),
    st.sampled_from([2, 9, 11, 15]).map(lambda number: ExitStatus(signal=number)),
)
SCHEDULES = st.builds(
    CheckSchedule,
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
    # 0.7 times each of them is a binary fraction, too.
    stop_timeout=st.sampled_from([25.0, 25.0, 5.0, 2.5]),
    stop_group=st.booleans(),
    escalation_signal=st.sampled_from([None, None, SIGQUIT]),
    notifies=st.booleans(),
    connects=st.sampled_from([False, False, True]),
    ready_probe=st.sampled_from([None, None, ReadyProbe(), ReadyProbe(timeout=0.25, pause=0.5)]),
    ready_line=st.sampled_from([False, False, True]),
    ready_timeout=st.sampled_from([60.0, 1.0]),
    success_exit_statuses=st.frozensets(st.sampled_from([1, 3]), max_size=1),
    forwards=st.frozensets(st.sampled_from([SIGUSR1, SIGUSR2])),
    restart=st.sampled_from(RestartPolicy),
    recycles=st.booleans(),
    backoff_initial=st.sampled_from([0.0, 0.5, 0.5, 4.0]),
    backoff_max=st.sampled_from([30.0, 4.0]),
    start_burst=st.integers(1, 5),
    start_interval=st.sampled_from([60.0, 2.0]),
    check=st.none() | SCHEDULES,
    watchdog=st.sampled_from([None, None, 1.0, 20.0]),
    max_memory=st.sampled_from([None, None, 100]),
    holds=st.booleans(),
    start_first=st.booleans(),
)
NOTIFICATIONS = st.builds(
    Notified,
    ref=st.just(NOBODY),
    ready=st.booleans(),
    status=st.none() | st.sampled_from(["", "READY=1"]),
    stopping=st.booleans(),
    extend_timeout=st.none() | seconds(30),
    watchdog=st.sampled_from(
        [None, None, WatchdogMessage.PING, WatchdogMessage.PING, WatchdogMessage.TRIGGER]
    ),
    error=st.sampled_from(["", "Address already in use"]),
)
MEMBERS = st.builds(
    Member,
    ends_after=st.none() | seconds(60),
    heeds_stop_signal=st.booleans(),
    unkillable=st.integers(0, 7).map(lambda n: n == 7),
    stopped=st.integers(0, 7).map(lambda n: n == 7),
)
BEHAVIOURS = st.builds(
    Behaviour,
    # Three lives in four exist at once: most runs should get beyond their start.
    exists_after=st.sampled_from([*[0.0] * 12, 0.25, 1.0, 30.0, None]),
    cancelled_too_late=st.booleans(),
    cannot_start=st.integers(0, 7).map(lambda n: "no memory" if n == 7 else ""),
    ready_after=st.none() | seconds(2),
    says=st.lists(st.tuples(seconds(30), NOTIFICATIONS), max_size=3).map(tuple),
    flooded_at=st.just(()) | st.lists(seconds(30), max_size=3).map(tuple),
    prints_after=st.none() | seconds(2),
    connects_after=st.none() | seconds(2),
    exits_after=st.none() | st.none() | seconds(60) | seconds(2),
    status=STATUSES,
    out_of_memory=st.booleans(),
    stops_after=seconds(1) | seconds(1) | seconds(5) | seconds(30) | st.none(),
    escalation_after=seconds(5) | st.none(),
    stop_status=STATUSES,
    # Likewise rare.
    unkillable=st.integers(0, 7).map(lambda n: n == 7),
    stopped_after=st.none() | st.none() | seconds(30),
    refused_probes=st.frozensets(st.integers(0, 4), max_size=3),
    members=st.lists(MEMBERS, max_size=2).map(tuple),
    health=st.lists(st.sampled_from(["", "", "HTTP 500", None]), min_size=1, max_size=5).map(tuple),
    answers_after=st.sampled_from([0.0, 0.0, 0.25, 5.0]),
    memory=st.lists(st.sampled_from([50, 50, 150]), min_size=1, max_size=3).map(tuple),
)
CHILDREN = st.builds(
    Child, spec=SPECS, behaviours=st.lists(BEHAVIOURS, min_size=1, max_size=4).map(tuple)
)
SIGNALS = st.lists(
    st.tuples(
        seconds(60) | seconds(5),
        st.sampled_from([SIGUSR1, SIGUSR2, SIGHUP, SIGTERM, SIGINT, SIGQUIT]),
    ),
    max_size=4,
)


# Names of instances and of processes, including some that do not exist.
NAMES = st.sampled_from(["p0", "p0.1", "p1", "p1.1", "p2.1", "p3", "p0.2", "p9"])
REQUESTS = st.one_of(
    st.builds(GoalRequest, NAMES, st.sampled_from(Goal)),
    st.builds(RestartRequest, NAMES),
    st.builds(ScaleRequest, NAMES, st.integers(0, 3)),
)


@dataclass(frozen=True)
class Scenario:
    children: tuple[Child, ...]
    signals: tuple[tuple[float, Signals], ...]
    requests: tuple[tuple[float, Request], ...]
    output_gone_at: Optional[float]
    # When the output stalls: from, until.
    stalls: tuple[tuple[float, float], ...]
    adopts: bool
    spawn_takes: float
    cancel_takes: float
    # When there is no template (from, until), and from when on the preload fails.
    without_template: tuple[tuple[float, float], ...]
    preload_fails_at: Optional[float]
    # When a platform signals every process, and how much later the supervisor.
    platform: tuple[tuple[float, float], ...]
    kill_takes: float
    jitters: tuple[float, ...]
    watchdog: Optional[float]

    def world(self) -> World:
        return World(
            self.children,
            [*self.signals, (LAST_SIGNAL_AT, SIGTERM)],
            requests=self.requests,
            output_gone_at=self.output_gone_at,
            stalls=self.stalls,
            adopts=self.adopts,
            spawn_takes=self.spawn_takes,
            cancel_takes=self.cancel_takes,
            without_template=self.without_template,
            preload_fails_at=self.preload_fails_at,
            platform=self.platform,
            kill_takes=self.kill_takes,
            jitters=self.jitters,
        )

    def supervisor(self) -> Group:
        return Group([child.spec for child in self.children], watchdog=self.watchdog)


@st.composite
def children(draw: st.DrawFn) -> tuple[Child, ...]:
    """Children that come after each other, in any order of their names, without a cycle."""
    drawn = draw(st.lists(CHILDREN, min_size=1, max_size=4))
    names = draw(st.permutations([f"p{number}.1" for number in range(len(drawn))]))
    named = []
    for number, child in enumerate(drawn):
        after = draw(st.frozensets(st.sampled_from(names[:number]))) if number else frozenset()
        spec = changed(child.spec, name=names[number], after=after)
        if spec.escalation_signal is spec.stop_signal:
            spec = changed(spec, escalation_signal=None)
        named.append(replace(child, spec=spec))
    return tuple(sorted(named, key=lambda child: child.spec.name))


def _stretches(moments: list[float]) -> tuple[tuple[float, float], ...]:
    """Pairs of consecutive moments; the last stretch may have no end."""
    ends = sorted(moments) + [2 * LAST_SIGNAL_AT] * (len(moments) % 2)
    return tuple(zip(ends[::2], ends[1::2]))


STRETCHES = st.just(()) | st.lists(seconds(60), max_size=4, unique=True).map(_stretches)
SCENARIOS = st.builds(
    Scenario,
    children=children(),
    signals=SIGNALS.map(tuple),
    requests=st.just(())
    | st.lists(st.tuples(seconds(60) | seconds(5), REQUESTS), max_size=5).map(tuple),
    output_gone_at=st.none() | st.none() | st.none() | seconds(60),
    stalls=STRETCHES,
    adopts=st.booleans(),
    spawn_takes=st.sampled_from([0.0, 0.0, 0.25, 1.0]),
    cancel_takes=st.sampled_from([0.0, 0.25, 1.0, 5.0]),
    without_template=st.just(()) | st.just(()) | STRETCHES,
    platform=st.just(())
    | st.tuples(
        st.tuples(seconds(60) | seconds(5), st.sampled_from([0.0, 0.0625, 0.125, 0.5, 1.0, 1.125]))
    ),
    preload_fails_at=st.sampled_from([*[None] * 13, 0.0, 1.5, 20.0]),
    kill_takes=st.sampled_from([0.25, 0.5]),
    jitters=st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=3).map(tuple),
    watchdog=st.sampled_from([None, None, 5.0]),
)


# ---- what must follow, derived from the history alone ----


# The first words after an instance's name in the log lines that report it ready.
IS_READY = ("ready", "started")


@dataclass
class Told:
    """What is known of one life."""

    name: str
    alive: bool = True
    gone: bool = False
    ready: bool = False
    faulty: bool = False
    asked: bool = False
    # Another life of the instance became ready while it lived.
    replaced: bool = False
    # It had to be killed because it did not stop in time, and it has no successor.
    overdue: bool = False
    lost: bool = False
    # It started although its start was cancelled.
    cancelled: bool = False


class History:
    """What happened, and what must follow from it by the design's tables."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.specs = {name: child.spec for name, child in world.children.items()}
        self.by_pid = {pid: leader.spec for pid, leader in world.leaders.items()}
        self.exits = {
            world.pid(told.ref): (at, told.status)
            for at, told in world.told
            if isinstance(told, Exited)
        }
        self.lives: dict[int, Told] = {}
        # `awaited`: instances whose start the template has not answered. `given_up`: those whose
        # start was cancelled. `too_late`: when lives became known that started all the same.
        self.awaited: set[str] = set()
        # Instances whose start was refused: the restart policy decides what follows.
        self.refused: set[str] = set()
        self.given_up: set[str] = set()
        self.too_late: dict[int, float] = {}
        self.goals = dict.fromkeys(self.specs, Goal.UP)
        self.finished: set[str] = set()
        # Lives whose leader exited after they had been given up.
        self.late: set[int] = set()
        self.reason_at: Optional[float] = None
        self.verdict = 0
        # When a life ended with a status of a stopped one: a platform may have stopped it.
        self.forgivable_at = -inf
        # When a signal killed it: quickly, so the supervisor may not have read its own signal yet.
        self.killed_at = -inf
        self.forgiven = False
        self.stalled = False
        # Every stop signal that was received.
        self.stop_signals: list[tuple[float, Signals]] = []
        for index, (at, item) in enumerate(world.history):
            rest = [what for _, what in world.history[index + 1 :]]
            if isinstance(item, str) and item.startswith("say all stopped"):
                break  # Everything is decided; later events do not count.
            if isinstance(item, str):
                self._did(at, item, rest)
            elif isinstance(item, Signalled) and item.signal in STOP:
                self.stop_signals.append((at, item.signal))
                self._reason(at, STOP[item.signal])
                if at <= self.forgivable_at + SIGNALLED_TOGETHER and len(self.stop_signals) == 1:
                    self.verdict = STOP[item.signal]
                    self.forgiven = True
            elif isinstance(item, OutputGone):
                self._reason(at, 141)
            elif isinstance(item, PreloadFailed):
                assert (self.reason_at is None) == str(rest[0]).startswith("say the preload failed")
                self._reason(at, 1)
            elif isinstance(item, Spawned):
                self._exists(at, item, rest)
            elif isinstance(item, SpawnFailed):
                self._refused(at, item.ref.name, rest)
            elif isinstance(item, (OutputStalled, OutputResumed)):
                self.stalled = isinstance(item, OutputStalled)
            elif isinstance(item, Exited):
                self._exited(at, item, rest)
            elif isinstance(item, GroupGone):
                self.lives[world.pid(item.ref)].gone = True
            elif isinstance(item, (GoalRequest, RestartRequest, ScaleRequest)):
                self._requested(item)

    @property
    def exit_status(self) -> int:
        if any(life.overdue or (life.lost and not life.gone) for life in self.lives.values()):
            return 1
        if len(self.stop_signals) > 1:
            return 128 + self.stop_signals[-1][1]
        return self.verdict

    def followers(self, name: str) -> Iterator[str]:
        """All instances that come after the process of this one."""
        for one, spec in self.specs.items():
            if process_of(name) in map(process_of, spec.after):
                yield one
                yield from self.followers(one)

    def of(self, name: str) -> list[Told]:
        """The lives of an instance, the latest last."""
        return [life for life in self.lives.values() if life.name == name]

    def _reason(self, at: float, verdict: int) -> None:
        if self.reason_at is None:
            self.reason_at, self.verdict = at, verdict
            for life in self.lives.values():
                # Lives that an operator had stopped earlier do not count.
                life.overdue = life.overdue and not life.gone

    def _requested(self, request: Request) -> None:
        if self.reason_at is not None:
            return
        if isinstance(request, (GoalRequest, RestartRequest)):
            goal = request.goal if isinstance(request, GoalRequest) else Goal.UP
            for name in self.goals:
                if request.name in (name, process_of(name)):
                    self.goals[name] = goal
        elif request.process in map(process_of, self.goals):
            wanted = [f"{request.process}.{number + 1}" for number in range(request.count)]
            for name in {*wanted, *self.goals}:
                if process_of(name) == request.process:
                    self.goals[name] = Goal.UP if name in wanted else Goal.DOWN
                    self.specs.setdefault(name, self.world._child(name).spec)

    def _did(self, at: float, what: str, rest: Sequence[object]) -> None:
        verb, first, *words = what.split()
        if what.startswith("ask for "):
            self._asked_for(words[0])
            self.awaited.add(words[0])
        elif what.startswith("cancel the start of "):
            self.given_up.add(words[-1])
        elif verb == "spawn":
            self._spawned(first.rstrip(":"), words)
        elif verb in ("kill", "killpg") and words[0] == self.by_pid[int(first)].stop_signal.name:
            self._asked(int(first))
        elif verb == "say" and self.of(first):
            life = self._meant(first, words, rest)
            life.ready = life.ready or words[0] in IS_READY
            lives = self.of(first)
            # The message that makes it ready may also report a fault.
            at_once = list(takewhile(lambda what: isinstance(what, str), rest))
            failed = any(
                str(what).startswith(f"say {first} is unhealthy: it sent") for what in at_once
            )
            for older in lives[: lives.index(life)] if words[0] in IS_READY and not failed else ():
                older.replaced = older.replaced or older.alive
            life.faulty = life.faulty or words[-2:] == ["stopping", "it"]
            if words[:3] == ["did", "not", "stop"]:
                life.overdue = True
            elif words[:3] == ["survived", "SIGKILL", "for"]:
                self._lost(at, life, " ".join(words), rest)
            # A life that has a successor no longer counts.
            life.overdue = life.overdue and "restarting" not in words

    def _meant(self, name: str, words: Sequence[str], rest: Sequence[object]) -> Told:
        """The life that a line is about; an instance may have two."""
        named = [word for word in words if word.rstrip(";)").isdecimal()]
        if words[0] in (*IS_READY, "survived"):
            pid = int(named[-1].rstrip(";)"))  # In this world members have the pid of their leader.
            return self.lives[pid]
        if words[-2:] == ["stopping", "it"] or words[:3] == ["did", "not", "stop"]:
            done = next(what for what in rest if isinstance(what, str) and what.startswith("kill"))
            return self.lives[int(done.split()[1])]
        return self.of(name)[-1]

    def _asked_for(self, name: str) -> None:
        """A start of this instance is requested from the system."""
        assert self.reason_at is None, "started while stopping"
        assert self.goals[name] is Goal.UP, "started although it is to be down"
        assert not (self.stalled and self.of(name)), "a life follows another while output stalls"
        others = [life for life in self.of(name) if life.alive and not life.lost]
        for one in self.specs[name].after:
            for ahead in [n for n in self.goals if process_of(n) == process_of(one)]:
                ready = ahead in self.finished or any(life.ready for life in self.of(ahead))
                stopped = self.goals[ahead] is Goal.DOWN
                again = self.of(name) or name in self.refused
                assert ready or stopped or again, f"{name} started before {ahead} is ready"
        assert all(self.specs[name].start_first for _ in others), f"two lives of {name}"

    def _spawned(self, name: str, words: Sequence[str]) -> None:
        """The system has started the life, or could not; the supervisor does not know yet."""
        if name not in self.awaited:
            self._asked_for(name)
        self.awaited.discard(name)
        if words[0] == "no":
            return
        self.finished.discard(name)
        for life in self.of(name):
            life.overdue = life.overdue and not life.gone
        self.lives[int(words[0])] = Told(name)

    def _exists(self, at: float, spawned: Spawned, rest: Sequence[object]) -> None:
        """The supervisor learns that a life exists; after a cancelled start it ends it at once."""
        pid, name = self.world.pid(spawned.ref), spawned.ref.name
        if name in self.given_up:
            self.given_up.remove(name)
            self.lives[pid].cancelled = True
            self.too_late[pid] = at
            assert str(rest[0]).split()[:2] in (["kill", str(pid)], ["killpg", str(pid)])

    def _refused(self, at: float, name: str, rest: Sequence[object]) -> None:
        self.awaited.discard(name)
        self.refused.add(name)
        if name in self.given_up:
            # A cancelled start is not reported.
            self.given_up.remove(name)
            assert not str(rest[0]).startswith(f"say {name} could not be started")
        elif not any(life.alive and not life.lost for life in self.of(name)):
            self._ended(at, Told(name), self.specs[name], True, 1, rest)

    def _asked(self, pid: int) -> None:
        life = self.lives[pid]
        assert not life.asked, "asked twice"
        life.asked = True
        if life.cancelled:
            return
        if self.reason_at is not None and not life.faulty:
            for one in self.followers(life.name):
                alive = [follower for follower in self.of(one) if follower.alive]
                assert all(follower.lost for follower in alive), f"asked before {one}"

    def _exited(self, at: float, exited: Exited, rest: Sequence[object]) -> None:
        pid = self.world.pid(exited.ref)
        life = self.lives[pid]
        life.alive = False
        if life.lost:
            self.late.add(pid)
            return
        spec = self.by_pid[pid]
        if spec.oneshot and not life.asked and exited.status.code == 0:
            self.finished.add(life.name)
            if self.finished == set(self.specs):
                self._reason(at, 0)
        elif not self._expected(life):
            status = exited.status
            failed = life.faulty or status.shell != 0
            recycled = spec.recycles and life.ready and not failed
            reason_at = self.reason_at
            self._ended(at, life, spec, failed or recycled, status.shell or 1, rest)
            as_on_request = status.shell == 0 or status.shell in spec.success_exit_statuses
            as_on_request = as_on_request or status.shell - 128 in (*STOP, spec.stop_signal)
            if as_on_request and self.reason_at != reason_at and not life.faulty:
                self.forgivable_at = at
                self.killed_at = at if status.signal is not None else self.killed_at

    def _lost(self, at: float, life: Told, line: str, rest: Sequence[object]) -> None:
        life.lost = True
        if life.alive and not self._expected(life):
            spec = self.specs[life.name]
            self._ended(at, life, spec, True, 1, [f"say {life.name} {line}", *rest])

    def _expected(self, life: Told) -> bool:
        """Whether the restart policy ignores its end."""
        lives = self.of(life.name)
        older, newer = lives[: lives.index(life)], lives[lives.index(life) + 1 :]
        return (
            self.reason_at is not None
            or life.replaced
            or self.goals[life.name] is Goal.DOWN
            or (life.asked and not life.faulty)
            # It was being replaced, or was about to replace another life.
            or life.name in self.awaited
            or any(one.alive and not one.lost for one in newer)
            or any(one.alive and not one.lost and not one.asked for one in older)
        )

    def _ended(
        self,
        at: float,
        life: Told,
        spec: Spec,
        failed: bool,
        status: int,
        rest: Sequence[object],
    ) -> None:
        restarts = {
            RestartPolicy.NEVER: False,
            RestartPolicy.ON_FAILURE: failed,
            RestartPolicy.ALWAYS: True,
        }[spec.restart]
        said = [what for what in rest if isinstance(what, str) and what.startswith("say ")]
        if not restarts or any(
            what.startswith(f"say giving up on {life.name}:") for what in said[:2]
        ):
            self._reason(at, status)
        else:
            assert "; restarting" in said[0]


@given(SCENARIOS)
@settings(max_examples=5 * EXAMPLES)
def test_every_run_ends_in_time_with_the_right_exit_status_and_no_process_left(
    scenario: Scenario,
) -> None:
    world, supervisor = scenario.world(), scenario.supervisor()

    status = pump.run(supervisor, world, world.observers)

    history = History(world)
    nobody_is_left(world, history)
    killed_only_as_groups_and_only_when_due(scenario, world, history)
    passed_on_only_to_who_declared_it(world)
    restarted_after_a_pause_and_not_too_often(scenario, world, history)
    in_time(scenario, world, history)
    open_for_a_signal_of_its_own(world, history)
    assert status == history.exit_status
    lines = [what for _, what in world.trace if what.startswith("say ")]
    assert lines[-1].startswith("say all stopped after ")
    assert lines[-1].endswith(f"; exit status {status}")
    nothing_follows(supervisor, world)
    describe(world, history, status)


def nobody_is_left(world: World, history: History) -> None:
    """Except lives that survive SIGKILL: it must have been sent, and the survival reported."""
    killed = {pid for _, pid, signal, group in world.kills if signal is SIGKILL and group}
    said = [what for _, what in world.trace if "survived SIGKILL for 5 s" in what]
    stuck = {world.pid(one.ref) for one in world.alive}
    assert all(one.unkillable for one in world.alive)
    assert stuck <= killed
    assert len(stuck) <= len(said)
    assert not world.unanswered
    assert not world.giving_up
    # The end of a lost life may go unnoticed.
    lost = {pid for pid, life in history.lives.items() if life.lost}
    assert stuck <= set(world.leaders) - world.reaped <= lost


def killed_only_as_groups_and_only_when_due(
    scenario: Scenario, world: World, history: History
) -> None:
    # A spawn blocks the supervisor for this long, so decisions and deadlines are late by as much.
    late = scenario.spawn_takes
    gone = {world.pid(h.ref): at for at, h in world.told if isinstance(h, GroupGone)}
    again = {at for at, _ in history.stop_signals[1:]}
    asked: dict[int, float] = {}
    overdue = {
        (at, words[1])
        for at, words in ((at, what.split()) for at, what in world.trace)
        if words[2:5] == ["did", "not", "stop"]
    }
    for at, pid, signal, group in world.kills:
        spec = history.by_pid[pid]
        exited_at, _ = history.exits.get(pid, (inf, None))
        # After that, the pid may belong to another process.
        assert at <= (gone.get(pid, inf) if group else exited_at)
        if signal is SIGKILL:
            assert group
            if history.too_late.get(pid) == at:
                assert len(history.stop_signals) > 1
            elif at not in again and at <= exited_at and (at, spec.name) in overdue:
                assert abs(at - asked[pid] - spec.stop_timeout) <= late
            elif at not in again:
                assert at >= exited_at
        elif signal is spec.stop_signal and group == spec.stop_group:
            asked[pid] = at
        elif signal is spec.escalation_signal:
            assert abs(at - asked[pid] - 0.7 * spec.stop_timeout) <= late


def passed_on_only_to_who_declared_it(world: World) -> None:
    came = [(at, h.signal) for at, h in world.told if isinstance(h, Signalled)]
    for at, pid, signal, group in world.kills:
        if signal in (SIGUSR1, SIGUSR2):
            assert signal in world.leaders[pid].spec.forwards
            assert (at, signal) in came
            assert not group


def restarted_after_a_pause_and_not_too_often(
    scenario: Scenario, world: World, history: History
) -> None:
    """Starts keep the bounds of the backoff, except after a recycle or on request."""
    if any(isinstance(it, (GoalRequest, RestartRequest, ScaleRequest)) for _, it in world.told):
        return
    starts: dict[str, list[float]] = defaultdict(list)
    ended: dict[str, tuple[float, ExitStatus]] = {}
    for at, item in world.history:
        if isinstance(item, Exited) and world.pid(item.ref) not in history.late:
            ended[item.ref.name] = (at, item.status)
        words = item.split() if isinstance(item, str) else []
        if words[:1] == ["spawn"] and words[2] != "no":
            spec = history.specs[words[1]]
            exited_at, status = ended.get(spec.name, (0.0, ExitStatus(code=0)))
            least = (1 - JITTER) * min(spec.backoff_initial, spec.backoff_max)
            if spec.recycles and status.code == 0 and spec.name in ended:
                continue  # It may be a recycle, which is immediate and does not count.
            assert spec.name not in ended or at - exited_at >= least
            starts[spec.name].append(at)
    for name, times in starts.items():
        spec = history.specs[name]
        for first, later in zip(times, times[spec.start_burst :]):
            assert later - first >= spec.start_interval


def in_time(scenario: Scenario, world: World, history: History) -> None:
    longest = max(longest_stop(history.specs, name) for name in history.specs)
    links = len(history.specs)
    # One sweep for the rest of a process group, and another to notice an end without a report.
    sweep = SWEEP_AFTER + (scenario.kill_takes if scenario.adopts else SWEEP_AFTER)
    killing = scenario.kill_takes
    everybody = [*world.leaders.values(), *chain.from_iterable(world.members_of.values())]
    if any(one.unkillable for one in everybody):
        sweep, killing = SWEEP_AFTER + LOSE_AFTER, LOSE_AFTER
    assert history.reason_at is not None
    took = world.now() - history.reason_at
    answers = scenario.spawn_takes + scenario.cancel_takes
    assert took <= longest + links * killing + sweep + answers + SIGNAL_MAY_FOLLOW


def open_for_a_signal_of_its_own(world: World, history: History) -> None:
    """After a life that a platform may have stopped, the supervisor waits for its own signal."""
    if history.stop_signals or history.killed_at != history.reason_at:
        return
    last = max(at for at, told in world.told if isinstance(told, (Exited, GroupGone)))
    together = history.killed_at + SIGNALLED_TOGETHER
    assert world.now() >= min(last + SIGNAL_MAY_FOLLOW, max(last, together))


def longest_stop(specs: Mapping[str, Spec], name: str) -> float:
    """The sum of stop timeouts along the longest chain that ends with this instance.

    A oneshot may take its stop timeout twice: to finish, and to stop.
    """
    ahead = max((longest_stop(specs, one) for one in specs[name].after), default=0.0)
    return (2 if specs[name].oneshot else 1) * specs[name].stop_timeout + ahead


def nothing_follows(supervisor: Group, world: World) -> None:
    for told in (
        Signalled(SIGINT),
        Signalled(SIGUSR1),
        Signalled(SIGHUP),
        OutputGone(),
        OutputResumed(),
    ):
        assert supervisor.take(world.now(), told) == []
    assert supervisor.tick(world.now() + 1000) == []
    assert supervisor.deadline is None


def describe(world: World, history: History, status: int) -> None:
    """Count what happened, for `pytest --hypothesis-show-statistics`."""
    event(f"exit status {status}")
    spawns = Counter(leader.spec.name for leader in world.leaders.values())
    event(f"{max(spawns.values(), default=0)} lives")
    said = " ".join(what for _, what in world.trace)
    if any(isinstance(told, OutputStalled) for _, told in world.told):
        event("output stalled")
    if world.cancelled:
        event("a start was cancelled")
    if history.forgiven:
        event("what ended just before a signal was forgiven")
    if history.too_late:
        event("too late")
    if any(not history.lives[pid].asked for pid in history.too_late):
        event("too late, and killed")
    if any(what.endswith("; restarting") for _, what in world.trace):
        event("restarting at once")
    for words in (
        "restarting in",
        "giving up",
        "is unhealthy: HTTP",
        "no answer within",
        "no WATCHDOG=1",
        "WATCHDOG=trigger",
        "was not ready within",
        "MAX_MEMORY",
        "out of memory",
        "could not be started",
        "the preload failed",
        "could not be checked",
        "SIGCONT",
        "finished after",
        "; SIGKILL in",
        "sending it SIGQUIT",
        "did not stop within",
        "killing everything",
        "no longer waiting",
        "to finish",
        "was not replaced",
        "no instance or process",
        "everything is being stopped; nothing",
    ):
        if words in said:
            event(words)


@given(SCENARIOS)
def test_the_same_scenario_always_produces_the_same_trace(scenario: Scenario) -> None:
    worlds = [scenario.world(), scenario.world()]
    for world in worlds:
        pump.run(scenario.supervisor(), world, world.observers)

    assert worlds[0].trace == worlds[1].trace


@given(SCENARIOS)
def test_each_state_change_starts_from_the_last_reported_state(scenario: Scenario) -> None:
    world, supervisor = scenario.world(), scenario.supervisor()
    changes: list[StateChanged] = []

    def observe(fact: Fact) -> None:
        if isinstance(fact, StateChanged):
            changes.append(fact)

    pump.run(supervisor, world, [*world.observers, observe])

    states = dict.fromkeys(supervisor.instances, State.STOPPED)
    for change in changes:
        assert change.old is states[change.name]
        assert change.new is not change.old
        states[change.name] = change.new
    assert set(states.values()) <= {State.STOPPED, State.EXITED, State.FATAL}
    assert states == {name: i.state for name, i in supervisor.instances.items()}


@given(SCENARIOS)
def test_a_snapshot_can_be_taken_at_any_moment(scenario: Scenario) -> None:
    world, supervisor = scenario.world(), scenario.supervisor()
    taken: list[GroupSnapshot] = []

    def observe(fact: Fact) -> None:
        taken.append(supervisor.snapshot(world.now()))

    pump.run(supervisor, world, [*world.observers, observe])

    for snapshot in taken:
        assert [one.name for one in snapshot.instances][: len(scenario.children)] == [
            child.spec.name for child in scenario.children
        ]
        for instance in snapshot.instances:
            assert instance.since >= 0
            assert (instance.next_start is None) or instance.goal is Goal.UP
            for life in instance.lives:
                assert life.ref.name == instance.name
                assert [at for _, at in life.deadlines] == sorted(at for _, at in life.deadlines)
