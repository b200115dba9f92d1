"""The group: starting in order, stopping in reverse, restarts, requests, and the exit status."""

from __future__ import annotations

from collections.abc import Iterable
from signal import SIGCONT, SIGINT, SIGKILL, SIGQUIT, SIGSEGV, SIGTERM, Signals
from typing import Any, Optional

import pytest

from django_prodserver.supervisor.commands import (
    CancelProbe,
    CancelSpawn,
    Kill,
    Measure,
    ProbeKind,
    Spawn,
    StartProbe,
    Unlisten,
)
from django_prodserver.supervisor.events import (
    Event,
    Exited,
    ExitStatus,
    GoalRequest,
    GroupGone,
    Measured,
    Notified,
    OutputGone,
    OutputResumed,
    OutputStalled,
    PreloadFailed,
    Probed,
    Request,
    RestartRequest,
    ScaleRequest,
    Signalled,
    Spawned,
    SpawnFailed,
    WatchdogMessage,
)
from django_prodserver.supervisor.facts import (
    Alive,
    AllFinished,
    AllReady,
    AllStopped,
    CheckFailed,
    ChecksFailed,
    Ended,
    Escalated,
    Fault,
    Killing,
    LifeState,
    Lost,
    NoAnswer,
    NotPreloaded,
    NotReady,
    Output,
    Phase,
    Ready,
    Refusal,
    RequestRefused,
    Restart,
    Retired,
    SignalEffect,
    SignalReceived,
    Started,
    StartLimitReached,
    StartRefused,
    State,
    StateChanged,
    StatusReported,
    StillRunning,
    StopEverything,
    Stopping,
    StoppingAll,
    TooMuchMemory,
    Updated,
    WaitingToFinish,
    WatchdogSilent,
    WatchdogTriggered,
)
from django_prodserver.supervisor.group import SIGNAL_MAY_FOLLOW, SIGNALLED_TOGETHER, Group
from django_prodserver.supervisor.signals import HANDLED, STOP_SIGNALS_AT_TERMINAL
from django_prodserver.supervisor.spec import CheckSchedule, Goal, Ref, RestartPolicy, Spec

from .words import asks


def spec(name: str, **more: Any) -> Spec:
    """A spec whose default stop timeout is too short for a slow stop to be reported."""
    more["after"] = frozenset(more.get("after", ()))
    return Spec(name, **{"stop_timeout": 1.0, **more})


def life(name: str, number: int = 1) -> Ref:
    return Ref(name, 0, number)


WEB, WORKER, BEAT, DB, MIGRATE = map(life, ("web.1", "worker.1", "beat.1", "db.1", "migrate.1"))


def ready(ref: Ref) -> Notified:
    return Notified(ref, ready=True)


def exited(ref: Ref, code: int = 0, **more: Any) -> Exited:
    return Exited(ref, ExitStatus(code=code), **more)


def died(ref: Ref, signal: int) -> Exited:
    return Exited(ref, ExitStatus(signal=signal))


def seen(name: str, old: State, new: State) -> StateChanged:
    return StateChanged(name, old, new)


def ended(ref: Ref, old: LifeState, code: int = 0, **more: Any) -> Ended:
    return Ended(ref, old, ExitStatus(code=code), **more)


def settle(group: Group, now: float, outputs: Iterable[Output]) -> list[Output]:
    """Answer each `Spawn`, and begin the starts that are due, as the pump does."""
    settled = list(outputs)
    for output in settled:  # The list grows meanwhile.
        if isinstance(output, Spawn):
            settled += group.take(now, Spawned(output.ref))
    if any(instance.due(now) for instance in group.instances.values()):
        settled += settle(group, now, group.tick(now))
    return settled


def take(group: Group, now: float, *events: Event) -> list[Output]:
    """Take one event after another, with all `Spawn`s answered; returns the last outputs."""
    outputs: list[Output] = []
    for event in events:
        outputs = settle(group, now, group.take(now, event))
    return outputs


def hear(group: Group, now: float, event: Event) -> list[Output]:
    """The outputs of an event and of the starts that begin next; no `Spawn` is answered."""
    return group.take(now, event) + begin_due(group, now)


def tick(group: Group, now: float) -> list[Output]:
    """Handle the deadlines that have passed; no `Spawn` is answered."""
    return group.tick(now) + begin_due(group, now)


def begin_due(group: Group, now: float) -> list[Output]:
    outputs: list[Output] = []
    while any(instance.due(now) for instance in group.instances.values()):
        outputs += group.tick(now)
    return outputs


def die(group: Group, now: float, *exits: Exited) -> list[Output]:
    """Leaders exit, and their process groups are empty; returns the last outputs."""
    outputs: list[Output] = []
    for event in exits:
        outputs = group.take(now, event)
        outputs += hear(group, now, GroupGone(event.ref))
    return outputs


def start(group: Group, now: float = 0.0) -> list[Output]:
    return settle(group, now, group.start(now))


def begin(group: Group, now: float = 0.0) -> list[Output]:
    """Start the group, up to the first `Spawn`."""
    return group.start(now) + group.tick(now)


def started(*specs: Spec) -> Group:
    group = Group(specs)
    start(group)
    return group


def web_and_worker() -> Group:
    return started(spec("web.1"), spec("worker.1", stop_signal=SIGINT))


def kills(outputs: Iterable[Output]) -> list[Kill]:
    """All signals except the SIGCONT that follows each stop signal; see `asks`."""
    return [one for one in outputs if isinstance(one, Kill) and one.signal is not SIGCONT]


def spawns(outputs: Iterable[Output]) -> list[str]:
    return [output.ref.name for output in outputs if isinstance(output, Spawn)]


def states(group: Group) -> dict[str, State]:
    return {name: instance.state for name, instance in group.instances.items()}


def stopped(ref: Ref, signal: Signals = SIGTERM) -> list[Output]:
    """The outputs of a stop of a running life."""
    return [
        Stopping(ref),
        *asks(ref, signal),
        seen(ref.name, State.RUNNING, State.STOPPING),
    ]


TERM, INT, QUIT = Signalled(SIGTERM), Signalled(SIGINT), Signalled(SIGQUIT)
TERM_RECEIVED = SignalReceived(SIGTERM, SignalEffect.STOP)
STARTING, RUNNING, STOPPING = State.STARTING, State.RUNNING, State.STOPPING
STOPPED, WAITING, EXITED, FATAL = State.STOPPED, State.WAITING, State.EXITED, State.FATAL
ON_FAILURE, ALWAYS = RestartPolicy.ON_FAILURE, RestartPolicy.ALWAYS
END = StopEverything()
BROKEN = PreloadFailed("It cannot be loaded.")

# ---- start ----


def test_instances_start_one_after_another() -> None:
    group = Group([spec("web.1", notifies=True), spec("worker.1", notifies=True)])

    assert group.start(10.0) == []
    assert group.deadline == 10.0
    assert group.tick(10.0) == [Spawn(WEB), seen("web.1", STOPPED, STARTING)]
    assert group.take(10.5, Spawned(WEB)) == []
    assert group.tick(10.5) == [Spawn(WORKER), seen("worker.1", STOPPED, STARTING)]
    assert group.take(11.0, Spawned(WORKER)) == []


@pytest.mark.parametrize(
    "event",
    [Signalled(SIGTERM), OutputGone(), PreloadFailed("No."), exited(WEB, 3)],
    ids=repr,
)
def test_an_event_between_two_starts_prevents_the_remaining_starts(event: Event) -> None:
    group = Group([spec(f"{name}.1") for name in ("web", "worker", "beat")])
    begin(group)
    group.take(0.0, Spawned(WEB))

    assert StoppingAll() in group.take(0.5, event)
    assert spawns(group.tick(0.5)) == []
    assert states(group)["beat.1"] is STOPPED


def test_restarts_due_together_start_one_per_turn_longest_overdue_first() -> None:
    names = ("web.1", "worker.1", "beat.1")
    group = started(*(spec(name, restart=ALWAYS) for name in names))
    die(group, 3.0, exited(BEAT, 1))
    die(group, 3.25, exited(WEB, 1), exited(WORKER, 1))

    assert group.deadline == 3.5
    assert spawns(group.tick(5.0)) == ["beat.1"]
    assert spawns(group.tick(5.0)) == ["web.1"]
    assert group.deadline == 3.75
    assert spawns(group.tick(5.0)) == ["worker.1"]
    assert spawns(group.tick(5.0)) == []


def test_all_ready_is_reported_when_the_last_process_becomes_ready() -> None:
    group = Group(
        [spec("web.1", notifies=True), spec("beat.1"), spec("worker.1", notifies=True)], began=2.0
    )
    start(group, now=3.0)

    assert hear(group, 4.0, ready(WORKER)) == [
        Ready(WORKER, 1.0),
        seen("worker.1", STARTING, RUNNING),
    ]
    assert group.phase is Phase.STARTING
    assert hear(group, 5.0, ready(WEB)) == [
        Ready(WEB, 2.0),
        seen("web.1", STARTING, RUNNING),
        AllReady(3, after=3.0),
    ]
    assert group.phase is Phase.RUNNING
    assert hear(group, 6.0, ready(WEB)) == []


def test_a_process_that_does_not_notify_is_ready_as_soon_as_it_starts() -> None:
    assert start(Group([spec("web.1"), spec("worker.1")])) == [
        Spawn(WEB),
        seen("web.1", STOPPED, STARTING),
        Started(WEB),
        seen("web.1", STARTING, RUNNING),
        Spawn(WORKER),
        seen("worker.1", STOPPED, STARTING),
        Started(WORKER),
        seen("worker.1", STARTING, RUNNING),
        AllReady(2, after=0.0),
    ]


def test_the_supervisor_has_no_deadline_while_nothing_is_due() -> None:
    assert web_and_worker().deadline is None


def test_a_refused_start_stops_earlier_processes_and_skips_later_ones() -> None:
    group = Group([spec("web.1"), spec("worker.1"), spec("beat.1")])
    begin(group)
    group.take(0.0, Spawned(WEB))
    assert spawns(group.tick(0.0)) == ["worker.1"]

    assert hear(group, 1.0, SpawnFailed(WORKER, "no memory")) == [
        StartRefused("worker.1", "no memory", END),
        seen("worker.1", STARTING, FATAL),
        StoppingAll(),
        *stopped(WEB),
    ]
    assert die(group, 2.0, exited(WEB))[-1] == AllStopped(1, after=1.0)
    assert group.instances["beat.1"].state is STOPPED


def test_the_supervisor_exits_with_1_if_its_first_start_is_refused() -> None:
    group = Group([spec("web.1"), spec("worker.1")])
    begin(group)

    assert hear(group, 0.0, SpawnFailed(WEB, "no memory")) == [
        StartRefused("web.1", "no memory", END),
        seen("web.1", STARTING, FATAL),
        StoppingAll(),
        AllStopped(1, after=0.0),
    ]


# ---- order ----


def migrate_then_web() -> Group:
    """`migrate.1` runs; `web.1` and `worker.1` wait."""
    return started(
        spec("web.1", after={"migrate.1"}, notifies=True),
        spec("worker.1", after={"web.1"}),
        spec("migrate.1", oneshot=True),
    )


FINISHED = ended(MIGRATE, LifeState.STARTING, after=4.0, lasted=4.0, expected=True, oneshot=True)


def test_a_dependent_waits_while_independent_processes_start() -> None:
    group = Group(
        [spec("web.1", after={"migrate.1"}), spec("migrate.1", oneshot=True), spec("beat.1")]
    )

    assert start(group, now=10.0) == [
        seen("web.1", STOPPED, WAITING),
        Spawn(MIGRATE),
        seen("migrate.1", STOPPED, STARTING),
        Spawn(BEAT),
        seen("beat.1", STOPPED, STARTING),
        Started(BEAT),
        seen("beat.1", STARTING, RUNNING),
    ]


def test_a_dependent_starts_as_soon_as_its_oneshot_has_finished() -> None:
    group = migrate_then_web()

    assert hear(group, 4.0, exited(MIGRATE)) == [
        FINISHED,
        seen("migrate.1", STARTING, EXITED),
        Spawn(WEB),
        seen("web.1", WAITING, STARTING),
    ]


def test_a_dependent_starts_as_soon_as_its_service_is_ready() -> None:
    group = migrate_then_web()
    die(group, 4.0, exited(MIGRATE))
    assert hear(group, 4.0, Spawned(WEB)) == []

    assert hear(group, 5.0, ready(WEB)) == [
        Ready(WEB, 1.0),
        seen("web.1", STARTING, RUNNING),
        Spawn(WORKER),
        seen("worker.1", WAITING, STARTING),
    ]
    # A oneshot that has finished counts as ready.
    assert hear(group, 5.0, Spawned(WORKER)) == [
        Started(WORKER),
        seen("worker.1", STARTING, RUNNING),
        AllReady(3, after=5.0),
    ]


def test_a_dependent_waits_for_all_of_its_dependencies() -> None:
    group = started(
        spec("db.1", notifies=True),
        spec("cache.1", notifies=True),
        spec("web.1", after={"db.1", "cache.1"}),
    )

    assert spawns(hear(group, 1.0, ready(life("cache.1")))) == []
    assert spawns(hear(group, 2.0, ready(DB))) == ["web.1"]


def test_a_dependent_waits_for_all_instances_of_its_dependency() -> None:
    group = started(
        spec("db.1", notifies=True), spec("db.2", notifies=True), spec("web.1", after={"db.1"})
    )

    assert spawns(hear(group, 1.0, ready(DB))) == []
    assert spawns(hear(group, 2.0, ready(life("db.2")))) == ["web.1"]


def test_dependents_of_the_same_process_start_one_after_another() -> None:
    group = started(
        spec("db.1", notifies=True),
        spec("web.1", after={"db.1"}),
        spec("worker.1", after={"db.1"}),
    )

    group.take(1.0, ready(DB))
    assert spawns(group.tick(1.0)) == ["web.1"]
    assert spawns(hear(group, 1.0, Spawned(WEB))) == ["worker.1"]


def test_a_restart_of_a_dependency_leaves_its_dependents_running() -> None:
    group = started(spec("db.1", restart=ALWAYS, backoff_initial=0), spec("web.1", after={"db.1"}))

    assert spawns(die(group, 5.0, exited(DB, 1))) == ["db.1"]
    assert states(group) == {"db.1": STARTING, "web.1": RUNNING}
    assert spawns(hear(group, 5.0, Spawned(life("db.1", 2)))) == []


def test_a_dependent_does_not_start_while_its_dependency_is_in_backoff() -> None:
    group = started(
        spec("db.1", notifies=True, restart=ALWAYS, backoff_initial=2.0),
        spec("web.1", after={"db.1"}),
    )
    die(group, 5.0, exited(DB, 1))

    assert spawns(tick(group, 6.0)) == []
    assert spawns(tick(group, 7.0)) == ["db.1"]
    assert spawns(hear(group, 7.0, Spawned(life("db.1", 2)))) == []
    assert spawns(hear(group, 8.0, ready(life("db.1", 2)))) == ["web.1"]


def test_a_planned_start_waits_again_if_its_dependency_is_started_again() -> None:
    group = started(spec("db.1", notifies=True), spec("web.1", after={"db.1"}))

    group.take(1.0, GoalRequest("db", Goal.DOWN))
    assert group.deadline == 1.0  # The start of web.1, in the next turn.
    group.take(1.0, GoalRequest("db", Goal.UP))

    assert spawns(take(group, 1.0, exited(life("db.1")), GroupGone(life("db.1")))) == ["db.1"]
    assert spawns(take(group, 2.0, ready(life("db.1", 2)))) == ["web.1"]


def test_a_failed_oneshot_stops_everything_before_a_dependent_starts() -> None:
    group = migrate_then_web()

    assert hear(group, 4.0, exited(MIGRATE, 3)) == [
        ended(MIGRATE, LifeState.STARTING, 3, after=4.0, lasted=4.0, oneshot=True, consequence=END),
        seen("migrate.1", STARTING, EXITED),
        StoppingAll(),
        seen("web.1", WAITING, STOPPED),
        seen("worker.1", WAITING, STOPPED),
    ]
    assert hear(group, 4.0, GroupGone(MIGRATE)) == [AllStopped(3, after=0.0)]


def test_a_waiting_process_does_not_start_once_everything_is_stopping() -> None:
    group = migrate_then_web()
    hear(group, 1.0, TERM)

    assert hear(group, 1.5, exited(MIGRATE)) == [
        ended(MIGRATE, LifeState.STOPPING, after=1.5, lasted=0.5, expected=True, oneshot=True),
        seen("migrate.1", STOPPING, EXITED),
    ]
    assert hear(group, 1.5, GroupGone(MIGRATE)) == [
        seen("migrate.1", EXITED, STOPPED),
        AllStopped(0, after=0.5),
    ]
    assert states(group) == {"web.1": STOPPED, "worker.1": STOPPED, "migrate.1": STOPPED}


# ---- oneshots only ----


def test_a_group_of_only_oneshots_exits_with_0_after_all_have_finished() -> None:
    group = started(
        spec("migrate.1", oneshot=True), spec("static.1", oneshot=True, after={"migrate.1"})
    )
    assert spawns(die(group, 1.0, exited(MIGRATE))) == ["static.1"]
    hear(group, 1.0, Spawned(life("static.1")))

    assert hear(group, 4.0, exited(life("static.1")))[2:] == [
        AllFinished(2, after=4.0),
        StoppingAll(),
    ]
    assert group.exit_status is None
    assert hear(group, 4.25, GroupGone(life("static.1"))) == [AllStopped(0, after=0.25)]
    assert group.phase is Phase.OVER


def test_a_finished_oneshot_does_not_end_a_group_with_a_service() -> None:
    group = started(spec("migrate.1", oneshot=True), spec("web.1"))

    assert die(group, 1.0, exited(MIGRATE))[2:] == [AllReady(2, after=1.0)]
    assert group.exit_status is None
    assert group.deadline is None


def test_a_failed_oneshot_with_restart_on_failure_is_retried() -> None:
    group = started(
        spec("migrate.1", oneshot=True, restart=ON_FAILURE, backoff_initial=0),
        spec("web.1", after={"migrate.1"}),
    )

    assert spawns(die(group, 1.0, exited(MIGRATE, 1))) == ["migrate.1"]
    hear(group, 1.0, Spawned(life("migrate.1", 2)))
    assert spawns(die(group, 2.0, exited(life("migrate.1", 2)))) == ["web.1"]


# ---- stop ----


@pytest.mark.parametrize("signal", [SIGTERM, SIGINT, SIGQUIT], ids=lambda signal: signal.name)
def test_a_signal_stops_every_process_with_its_own_stop_signal(signal: Signals) -> None:
    group = web_and_worker()

    assert hear(group, 8.0, Signalled(signal)) == [
        SignalReceived(signal, SignalEffect.STOP),
        StoppingAll(),
        *stopped(WEB),
        *stopped(WORKER, SIGINT),
    ]
    assert group.phase is Phase.STOPPING
    assert group.deadline == 9.0


def test_an_exit_stops_all_other_processes_and_is_reported() -> None:
    group = web_and_worker()

    assert hear(group, 8.0, exited(WORKER, 1)) == [
        ended(WORKER, LifeState.RUNNING, 1, after=8.0, lasted=8.0, consequence=END),
        seen("worker.1", RUNNING, EXITED),
        StoppingAll(),
        *stopped(WEB),
    ]
    assert group.phase is Phase.ENDING


def test_a_process_that_is_not_ready_yet_gets_its_stop_signal() -> None:
    group = started(spec("web.1", notifies=True))

    assert kills(hear(group, 1.0, TERM)) == [Kill(WEB, SIGTERM)]


def test_a_shell_is_stopped_with_its_process_group() -> None:
    group = started(spec("sh.1", stop_group=True), spec("web.1"))

    assert kills(hear(group, 1.0, TERM)) == [
        Kill(life("sh.1"), SIGTERM, group=True),
        Kill(WEB, SIGTERM, group=False),
    ]


@pytest.mark.parametrize("again", [exited(WORKER), OutputGone(), ready(WEB)], ids=str)
def test_no_process_gets_the_stop_signal_twice(again: Event) -> None:
    group = web_and_worker()
    hear(group, 1.0, TERM)

    assert kills(hear(group, 2.0, again)) == []


def test_the_first_of_two_simultaneous_exits_decides_the_exit_status() -> None:
    group = web_and_worker()

    assert kills(hear(group, 1.0, exited(WEB, 3))) == [Kill(WORKER, SIGINT)]
    # It was already dead when it was asked to stop, but its exit is reported only now.
    assert hear(group, 1.0, exited(WORKER, 4)) == [
        ended(WORKER, LifeState.STOPPING, 4, after=1.0, lasted=0.0),
        seen("worker.1", STOPPING, EXITED),
    ]
    hear(group, 1.0, GroupGone(WEB))
    assert hear(group, 1.0, GroupGone(WORKER))[-1] == AllStopped(3, after=0.0)


def test_a_stubborn_child_is_killed_with_its_group_at_its_own_deadline() -> None:
    group = started(spec("web.1", stop_timeout=0.5), spec("worker.1", stop_timeout=1.0))
    hear(group, 5.0, TERM)

    assert tick(group, 5.4) == []
    assert group.deadline == 5.5
    assert tick(group, 5.5) == [
        Killing(WEB, overran=0.5),
        Kill(WEB, SIGKILL, group=True),
        seen("web.1", STOPPING, State.KILLING),
    ]
    assert group.deadline == 6.0


def test_the_process_group_of_a_dead_leader_is_killed_after_a_second() -> None:
    group = web_and_worker()
    hear(group, 5.0, exited(WEB))
    die(group, 5.25, exited(WORKER))

    assert group.deadline == 6.0
    assert tick(group, 6.0) == [Kill(WEB, SIGKILL, group=True)]
    assert hear(group, 6.25, GroupGone(WEB)) == [AllStopped(1, after=1.25)]


def test_the_supervisor_does_not_end_while_a_process_group_has_members() -> None:
    group = started(spec("web.1"))
    hear(group, 5.0, TERM)

    assert AllStopped not in map(type, hear(group, 5.1, exited(WEB)))
    assert group.exit_status is None


def test_a_second_signal_kills_processes_and_leftover_process_groups() -> None:
    group = started(spec("web.1"), spec("worker.1"), spec("beat.1"))
    hear(group, 1.0, TERM)
    hear(group, 2.0, exited(WEB))
    die(group, 2.0, exited(BEAT))

    assert hear(group, 2.5, INT) == [
        SignalReceived(SIGINT, SignalEffect.KILL),
        Kill(WEB, SIGKILL, group=True),
        Killing(WORKER),
        Kill(WORKER, SIGKILL, group=True),
        seen("worker.1", STOPPING, State.KILLING),
    ]
    assert group.phase is Phase.KILLING


def test_the_first_signal_during_a_stop_after_a_failure_kills_nothing() -> None:
    group = web_and_worker()
    hear(group, 1.0, exited(WEB, 3))

    assert hear(group, 2.0, INT) == [SignalReceived(SIGINT, SignalEffect.STOP)]
    assert group.phase is Phase.STOPPING
    assert kills(hear(group, 3.0, INT)) == [
        Kill(WEB, SIGKILL, group=True),
        Kill(WORKER, SIGKILL, group=True),
    ]


PLATFORM = [
    died(WEB, SIGTERM),
    died(WEB, SIGINT),
    died(WEB, SIGQUIT),
    exited(WEB, 0),
    exited(WEB, 7),
]


@pytest.mark.parametrize("end", PLATFORM, ids=lambda end: str(end.status))
@pytest.mark.parametrize(("signal", "status"), [(SIGTERM, 0), (SIGQUIT, 0), (SIGINT, 130)])
def test_a_process_stopped_by_the_platform_before_the_supervisor_has_not_failed(
    end: Exited, signal: Signals, status: int
) -> None:
    """A platform signals all processes at once, and the supervisor may read its own signal last."""
    group = started(spec("web.1", success_exit_statuses=frozenset({7})), spec("worker.1"))
    die(group, 8.0, end)

    assert hear(group, 9.0, Signalled(signal)) == [SignalReceived(signal, SignalEffect.STOP)]
    assert die(group, 9.5, exited(WORKER))[-1] == AllStopped(status, after=1.5)


TOGETHER = [end for end in PLATFORM if end.status.signal is not None]


@pytest.mark.parametrize("end", TOGETHER, ids=lambda end: str(end.status))
@pytest.mark.parametrize(("signal", "status"), [(SIGTERM, 0), (SIGINT, 130)])
def test_the_supervisor_waits_briefly_for_its_signal_after_all_processes_end(
    end: Exited, signal: Signals, status: int
) -> None:
    group = started(spec("web.1", success_exit_statuses=frozenset({7})), spec("worker.1"))
    die(group, 8.0, end)
    assert AllStopped not in map(type, die(group, 8.25, died(WORKER, SIGTERM)))
    assert group.deadline == 8.25 + SIGNAL_MAY_FOLLOW
    assert tick(group, 8.26) == []

    received = SignalReceived(signal, SignalEffect.STOP)
    assert hear(group, 8.28, Signalled(signal)) == [received, AllStopped(status, after=0.25)]


@pytest.mark.parametrize(
    ("last_end", "over"), [(8.25, 8.25 + SIGNAL_MAY_FOLLOW), (8.9375, 8.0 + SIGNALLED_TOGETHER)]
)
def test_the_wait_for_a_signal_that_does_not_come_is_short(last_end: float, over: float) -> None:
    group = web_and_worker()
    die(group, 8.0, died(WEB, SIGTERM))
    die(group, last_end, exited(WORKER))

    assert group.deadline == over
    assert tick(group, over) == [AllStopped(143, after=last_end - 8.0)]
    assert (group.exit_status, group.deadline) == (143, None)


@pytest.mark.parametrize(
    "end",
    [exited(WEB, 0), exited(WEB, 3), exited(WEB, 143), died(WEB, SIGKILL), died(WEB, SIGSEGV)],
    ids=str,
)
def test_an_exit_or_crash_ends_the_supervisor_without_waiting_for_a_signal(end: Exited) -> None:
    group = started(spec("web.1"))

    assert die(group, 8.0, end)[-1] == AllStopped(end.status.shell or 1, after=0.0)


@pytest.mark.parametrize("end", [exited(WEB, 3), died(WEB, SIGKILL), died(WEB, SIGSEGV)], ids=str)
def test_a_failure_just_before_a_signal_still_decides_the_exit_status(end: Exited) -> None:
    group = web_and_worker()
    die(group, 8.0, end)
    hear(group, 8.0, TERM)

    assert die(group, 8.0, exited(WORKER))[-1] == AllStopped(end.status.shell, after=0.0)


def test_a_signal_that_comes_too_late_does_not_excuse_an_earlier_exit() -> None:
    group = web_and_worker()
    die(group, 8.0, died(WEB, SIGTERM))
    hear(group, 9.25, TERM)

    assert die(group, 9.25, exited(WORKER))[-1] == AllStopped(143, after=1.25)


def test_a_signal_does_not_excuse_a_process_that_was_stopped_for_a_fault() -> None:
    group = started(spec("web.1", max_memory=100), spec("worker.1"))
    hear(group, 7.0, Measured(WEB, 101))
    die(group, 8.0, died(WEB, SIGTERM))
    hear(group, 8.0, TERM)

    assert die(group, 8.0, exited(WORKER))[-1] == AllStopped(143, after=0.0)


def test_a_stop_timeout_after_a_platform_signal_makes_the_exit_status_1() -> None:
    group = web_and_worker()
    die(group, 8.0, died(WEB, SIGTERM))
    hear(group, 8.0, TERM)
    tick(group, 9.0)

    assert die(group, 9.0, died(WORKER, SIGKILL))[-1] == AllStopped(1, after=1.0)


def test_a_second_signal_after_a_platform_stop_kills_everything() -> None:
    group = web_and_worker()
    die(group, 8.0, died(WEB, SIGTERM))
    hear(group, 8.0, TERM)

    assert kills(hear(group, 8.5, TERM)) == [Kill(WORKER, SIGKILL, group=True)]
    assert die(group, 8.5, died(WORKER, SIGKILL))[-1] == AllStopped(143, after=0.5)


def test_a_oneshot_that_the_platform_stops_has_not_failed() -> None:
    group = started(spec("migrate.1", oneshot=True), spec("worker.1"))
    die(group, 8.0, died(MIGRATE, SIGTERM))
    hear(group, 8.0, TERM)

    assert die(group, 8.0, exited(WORKER))[-1] == AllStopped(0, after=0.0)


def test_a_process_that_spawns_after_a_second_signal_is_killed() -> None:
    group = Group([spec("web.1", notifies=True)])
    begin(group)
    hear(group, 0.0, TERM)
    assert kills(hear(group, 0.0, TERM)) == []

    assert kills(hear(group, 0.0, Spawned(WEB))) == [Kill(WEB, SIGKILL, group=True)]


@pytest.mark.parametrize(
    "late",
    [
        *(TERM, INT, Signalled(Signals.SIGHUP), Signalled(Signals.SIGUSR1), OutputGone()),
        *(ready(WEB), Notified(WEB, status="bye"), Probed(WEB, "refused"), Measured(WEB, 1)),
        *(GoalRequest("web.1", Goal.UP), RestartRequest("web"), ScaleRequest("web", 2)),
    ],
    ids=str,
)
def test_no_event_has_an_effect_after_the_supervisor_has_ended(late: Event) -> None:
    group = started(spec("web.1"))
    hear(group, 1.0, TERM)
    die(group, 1.0, exited(WEB))
    assert group.exit_status == 0

    assert hear(group, 2.0, late) == []
    assert tick(group, 100.0) == []
    assert (group.phase, group.exit_status, group.deadline) == (Phase.OVER, 0, None)


@pytest.mark.parametrize(
    "late",
    [
        ready(MIGRATE),
        Notified(MIGRATE, status="bye"),
        Probed(MIGRATE, "refused"),
        Measured(MIGRATE, 1),
    ],
    ids=str,
)
def test_events_of_a_life_that_is_gone_are_ignored(late: Event) -> None:
    group = started(spec("migrate.1", oneshot=True), spec("web.1"))
    die(group, 1.0, exited(MIGRATE))

    assert hear(group, 2.0, late) == []


# ---- stopping in reverse ----


def test_a_dependency_stops_once_its_last_dependent_has_exited() -> None:
    group = started(
        spec("db.1"),
        spec("web.1", after={"db.1"}),
        spec("worker.1", after={"db.1"}),
        spec("beat.1"),
    )

    assert kills(hear(group, 1.0, TERM)) == [
        Kill(WEB, SIGTERM),
        Kill(WORKER, SIGTERM),
        Kill(BEAT, SIGTERM),
    ]
    assert kills(die(group, 2.0, exited(WORKER))) == []
    # When the last leader has exited; the rest of its process group does not matter.
    assert kills(hear(group, 3.0, exited(WEB))) == [Kill(DB, SIGTERM)]
    assert group.instances["db.1"].task_at == 4.0


def test_a_dependency_stops_once_all_instances_of_its_dependent_have_exited() -> None:
    group = started(
        spec("db.1"), spec("db.2"), spec("web.1", after={"db.1"}), spec("web.2", after={"db.1"})
    )
    web_2 = life("web.2")

    assert kills(hear(group, 1.0, TERM)) == [Kill(WEB, SIGTERM), Kill(web_2, SIGTERM)]
    assert kills(hear(group, 2.0, exited(WEB))) == []
    assert kills(hear(group, 3.0, exited(web_2))) == [
        Kill(DB, SIGTERM),
        Kill(life("db.2"), SIGTERM),
    ]


def test_a_chain_of_dependents_stops_one_by_one_each_with_its_own_timeout() -> None:
    group = started(
        spec("a.1"), spec("b.1", after={"a.1"}), spec("c.1", after={"b.1"}, stop_timeout=0.5)
    )
    a, b, c = life("a.1"), life("b.1"), life("c.1")

    assert kills(hear(group, 10.0, TERM)) == [Kill(c, SIGTERM)]
    assert kills(tick(group, 10.5)) == [Kill(c, SIGKILL, group=True)]
    assert kills(hear(group, 10.5, died(c, 9))) == [Kill(b, SIGTERM)]
    assert kills(hear(group, 11.0, exited(b))) == [Kill(a, SIGTERM)]


def test_a_shared_dependency_stops_after_both_dependents_have_exited() -> None:
    group = started(
        spec("a.1"),
        spec("b.1", after={"a.1"}),
        spec("c.1", after={"a.1"}),
        spec("d.1", after={"b.1", "c.1"}),
    )
    a, b, c, d = map(life, ("a.1", "b.1", "c.1", "d.1"))

    assert kills(hear(group, 10.0, TERM)) == [Kill(d, SIGTERM)]
    assert kills(hear(group, 10.25, exited(d))) == [Kill(b, SIGTERM), Kill(c, SIGTERM)]
    assert kills(hear(group, 10.5, exited(b))) == []
    assert kills(hear(group, 10.75, exited(c))) == [Kill(a, SIGTERM)]


def test_a_dependency_waits_for_an_indirect_dependent_past_a_finished_oneshot() -> None:
    group = started(
        spec("a.1"), spec("b.1", after={"a.1"}, oneshot=True), spec("c.1", after={"b.1"})
    )
    assert spawns(die(group, 1.0, exited(life("b.1")))) == ["c.1"]
    hear(group, 1.0, Spawned(life("c.1")))

    assert kills(hear(group, 2.0, TERM)) == [Kill(life("c.1"), SIGTERM)]
    assert kills(hear(group, 3.0, exited(life("c.1")))) == [Kill(life("a.1"), SIGTERM)]


def test_a_waiting_or_backing_off_dependent_does_not_delay_the_stop() -> None:
    group = started(
        spec("a.1"),
        spec("b.1", after={"a.1"}, notifies=True, restart=ALWAYS),
        spec("c.1", after={"b.1"}),
    )
    die(group, 1.0, exited(life("b.1"), 1))
    assert states(group) == {"a.1": RUNNING, "b.1": State.BACKOFF, "c.1": WAITING}

    assert hear(group, 1.25, TERM) == [
        TERM_RECEIVED,
        StoppingAll(),
        seen("b.1", State.BACKOFF, STOPPED),
        seen("c.1", WAITING, STOPPED),
        *stopped(life("a.1")),
    ]


def test_a_second_signal_also_kills_a_dependency_whose_stop_is_pending() -> None:
    group = started(spec("db.1"), spec("web.1", after={"db.1"}))
    hear(group, 1.0, TERM)

    assert kills(hear(group, 2.0, TERM)) == [
        Kill(DB, SIGKILL, group=True),
        Kill(WEB, SIGKILL, group=True),
    ]


def test_a_dependency_that_exits_before_its_turn_to_stop_has_not_failed() -> None:
    group = started(spec("db.1"), spec("web.1", after={"db.1"}))
    hear(group, 1.0, TERM)

    assert kills(die(group, 1.5, exited(DB, 1))) == []
    assert die(group, 1.75, exited(WEB))[-1] == AllStopped(0, after=0.75)


def test_a_dependency_whose_stop_is_pending_cannot_become_unhealthy() -> None:
    group = started(
        spec("db.1", watchdog=2.0, check=CheckSchedule(), max_memory=1),
        spec("web.1", after={"db.1"}, stop_timeout=25.0),
    )
    hear(group, 1.0, TERM)

    assert group.instances["db.1"].task_at is None
    assert hear(group, 2.0, Notified(DB, watchdog=WatchdogMessage.TRIGGER)) == []
    assert hear(group, 2.0, Measured(DB, 2)) == []


# ---- a oneshot runs while another process fails ----


def test_a_oneshot_may_finish_while_a_failure_stops_everything() -> None:
    group = started(
        spec("migrate.1", oneshot=True, stop_timeout=25.0),
        spec("static.1", oneshot=True, stop_timeout=10.0),
        spec("load.1", oneshot=True),
        spec("web.1"),
    )

    assert hear(group, 5.0, exited(life("load.1"), 3))[2:] == [
        StoppingAll(),
        *stopped(WEB),
        WaitingToFinish(("migrate.1", "static.1"), 25.0),
    ]
    hear(group, 5.5, GroupGone(life("load.1")))
    # WaitingToFinish is reported once.
    assert die(group, 6.0, exited(WEB))[2:] == [seen("web.1", EXITED, STOPPED)]
    # A oneshot that finishes in time is not asked to stop.
    assert die(group, 7.0, exited(MIGRATE))[0] == ended(
        MIGRATE, LifeState.STARTING, after=7.0, lasted=7.0, expected=True, oneshot=True
    )
    # One that does not is asked like any other.
    assert group.deadline == 15.0
    assert tick(group, 15.0) == [
        Stopping(life("static.1")),
        *asks(life("static.1"), SIGTERM),
        seen("static.1", STARTING, STOPPING),
    ]
    assert die(group, 16.0, exited(life("static.1")))[-1] == AllStopped(3, after=11.0)


def test_a_dependency_stays_up_until_a_oneshot_that_may_finish_has_exited() -> None:
    group = started(spec("db.1"), spec("migrate.1", oneshot=True, after={"db.1"}), spec("web.1"))

    assert kills(hear(group, 1.0, exited(WEB, 3))) == []
    assert kills(hear(group, 1.5, exited(MIGRATE))) == [Kill(DB, SIGTERM)]


@pytest.mark.parametrize("signal", [SIGTERM, SIGINT, SIGQUIT], ids=lambda signal: signal.name)
def test_an_operator_signal_immediately_stops_a_oneshot_that_may_finish(
    signal: Signals,
) -> None:
    group = started(spec("migrate.1", oneshot=True), spec("web.1"))
    hear(group, 5.0, exited(WEB, 3))

    assert hear(group, 5.5, Signalled(signal)) == [
        SignalReceived(signal, SignalEffect.STOP),
        Stopping(MIGRATE),
        *asks(MIGRATE, SIGTERM),
        seen("migrate.1", STARTING, STOPPING),
    ]
    assert group.instances["migrate.1"].task_at == 6.5


def test_a_second_signal_kills_a_oneshot_that_may_finish() -> None:
    group = started(spec("migrate.1", oneshot=True), spec("web.1"))
    hear(group, 5.0, exited(WEB, 3))
    hear(group, 5.5, TERM)

    assert kills(hear(group, 5.75, TERM))[0] == Kill(MIGRATE, SIGKILL, group=True)


def test_sigterm_also_stops_a_running_oneshot() -> None:
    group = started(spec("migrate.1", oneshot=True), spec("web.1"))

    assert kills(hear(group, 5.0, TERM)) == [Kill(MIGRATE, SIGTERM), Kill(WEB, SIGTERM)]


@pytest.mark.parametrize(("code", "status"), [(0, 7), (4, 7)])
def test_a_oneshot_that_may_finish_does_not_change_the_exit_status(code: int, status: int) -> None:
    group = started(spec("migrate.1", oneshot=True), spec("web.1"))
    die(group, 5.0, exited(WEB, 7))

    assert die(group, 5.5, exited(MIGRATE, code))[-1] == AllStopped(status, after=0.5)


# ---- restarts ----


def test_a_failed_service_is_restarted_and_the_others_keep_running() -> None:
    group = started(
        spec("web.1"), spec("worker.1", restart=ON_FAILURE, notifies=True, backoff_initial=0.5)
    )
    hear(group, 1.0, ready(WORKER))
    again = life("worker.1", 2)

    assert hear(group, 8.0, exited(WORKER, 1, jitter=1.0)) == [
        ended(WORKER, LifeState.RUNNING, 1, after=8.0, lasted=7.0, consequence=Restart(0.375)),
        seen("worker.1", RUNNING, EXITED),
    ]
    assert hear(group, 8.0, GroupGone(WORKER)) == [seen("worker.1", EXITED, State.BACKOFF)]
    assert group.deadline == 8.375
    assert tick(group, 8.375) == [Spawn(again), seen("worker.1", State.BACKOFF, STARTING)]
    assert hear(group, 8.375, Spawned(again)) == []
    # AllReady is reported once.
    assert hear(group, 9.0, ready(again)) == [
        Ready(again, 0.625),
        seen("worker.1", STARTING, RUNNING),
    ]


def test_an_exit_with_0_under_restart_on_failure_stops_everything() -> None:
    group = started(spec("web.1", restart=ON_FAILURE), spec("worker.1"))

    assert kills(hear(group, 1.0, exited(WEB, 0))) == [Kill(WORKER, SIGTERM)]
    hear(group, 1.0, GroupGone(WEB))
    assert die(group, 1.5, exited(WORKER))[-1] == AllStopped(1, after=0.5)


def test_the_start_limit_stops_everything_with_the_last_exit_status() -> None:
    group = started(spec("web.1"), spec("worker.1", restart=ALWAYS, start_burst=2))
    die(group, 1.0, exited(WORKER, 4))
    tick(group, 1.5)
    again = life("worker.1", 2)
    hear(group, 1.5, Spawned(again))

    assert hear(group, 2.0, exited(again, 5)) == [
        ended(again, LifeState.RUNNING, 5, after=0.5, lasted=0.5, restarts=1),
        StartLimitReached("worker.1", 2, 60.0, END),
        seen("worker.1", RUNNING, FATAL),
        StoppingAll(),
        *stopped(WEB),
    ]
    die(group, 2.5, exited(WEB))
    # The process group of the failed life is swept like any other.
    assert tick(group, 3.0) == [Kill(again, SIGKILL, group=True)]
    assert hear(group, 3.0, GroupGone(again)) == [AllStopped(5, after=1.0)]


def test_a_restart_that_the_operating_system_refuses_is_tried_again() -> None:
    group = started(spec("web.1", restart=ALWAYS, backoff_initial=0), spec("worker.1"))
    die(group, 1.0, exited(WEB, 4))

    outputs = hear(group, 1.0, SpawnFailed(life("web.1", 2), "no memory"))
    assert (spawns(outputs), kills(outputs)) == (["web.1"], [])
    assert group.phase is Phase.RUNNING


def test_a_refused_restart_that_reaches_the_start_limit_stops_everything() -> None:
    group = started(
        spec("web.1", restart=ALWAYS, backoff_initial=0, start_burst=2), spec("worker.1")
    )
    die(group, 1.0, exited(WEB, 4))

    refused = hear(group, 1.0, SpawnFailed(life("web.1", 2), "no memory"))
    assert kills(refused) == [Kill(WORKER, SIGTERM)]
    assert die(group, 1.5, exited(WORKER))[-1] == AllStopped(1, after=0.5)


def test_a_dependency_stops_after_two_simultaneous_restarts_are_refused() -> None:
    group = started(
        spec("db.1"),
        spec("web.1", restart=ALWAYS, start_burst=2),
        spec("worker.1", restart=ALWAYS, start_burst=2, after={"db.1"}),
    )
    die(group, 1.0, exited(WEB, 1), exited(WORKER, 1))
    assert spawns(tick(group, 1.5)) == ["web.1", "worker.1"]

    # The other start is not answered yet: it counts as alive.
    assert kills(hear(group, 1.5, SpawnFailed(life("web.1", 2), "no memory"))) == []
    assert kills(hear(group, 1.5, SpawnFailed(life("worker.1", 2), "no memory"))) == [
        Kill(DB, SIGTERM)
    ]


# ---- starts that are not answered yet ----


def both_unanswered() -> tuple[Group, Ref, Ref]:
    """Both failed and are being restarted, for the last time that the start limit allows."""
    group = started(
        spec("web.1", restart=ALWAYS, start_burst=2),
        spec("worker.1", restart=ALWAYS, start_burst=2),
    )
    die(group, 1.0, exited(WEB, 1), exited(WORKER, 1))
    assert spawns(tick(group, 1.5)) == ["web.1", "worker.1"]
    return group, life("web.1", 2), life("worker.1", 2)


def cancels(outputs: Iterable[Output]) -> list[Ref]:
    return [output.ref for output in outputs if isinstance(output, CancelSpawn)]


def test_an_unanswered_start_delays_neither_the_next_start_nor_a_failure() -> None:
    group = Group([spec(f"{name}.1") for name in ("web", "worker", "beat")])
    assert spawns(begin(group)) == ["web.1"]
    assert spawns(group.tick(0.5)) == ["worker.1"]
    assert spawns(group.tick(0.5)) == ["beat.1"]
    # There is no deadline until one of them is answered, however long that takes.
    assert group.deadline is None

    hear(group, 60.0, Spawned(BEAT))
    assert cancels(hear(group, 61.0, exited(BEAT, 3))) == [WEB, WORKER]


def test_a_pending_start_is_cancelled_only_once_if_another_process_fails() -> None:
    group, web, worker = both_unanswered()

    assert cancels(hear(group, 1.5, SpawnFailed(web, "no memory"))) == [worker]
    assert hear(group, 2.0, TERM) == [TERM_RECEIVED]
    assert hear(group, 2.5, SpawnFailed(worker, "cancelled")) == [
        seen("worker.1", STARTING, STOPPED),
        AllStopped(1, after=1.0),
    ]


def test_a_process_that_spawns_while_everything_stops_is_stopped_immediately() -> None:
    group, web, worker = both_unanswered()
    hear(group, 1.5, SpawnFailed(web, "no memory"))

    assert kills(hear(group, 1.5, Spawned(worker))) == [Kill(worker, SIGTERM)]
    assert die(group, 2.0, exited(worker))[-1] == AllStopped(1, after=0.5)


def test_a_restart_that_spawns_after_a_second_signal_is_killed() -> None:
    group, web, worker = both_unanswered()
    assert cancels(hear(group, 2.0, TERM)) == [web, worker]
    assert hear(group, 2.5, TERM) == [SignalReceived(SIGTERM, SignalEffect.KILL)]

    assert hear(group, 3.0, Spawned(web)) == [
        Killing(web),
        Kill(web, SIGKILL, group=True),
        seen("web.1", STARTING, State.KILLING),
    ]
    assert hear(group, 3.0, SpawnFailed(worker, "cancelled")) == [
        seen("worker.1", STARTING, STOPPED)
    ]
    assert die(group, 3.5, died(web, 9))[-1] == AllStopped(143, after=1.5)


def test_a_dependency_being_spawned_is_stopped_without_waiting_for_dependents() -> None:
    """No running process can depend on a life that does not exist yet."""
    group = started(spec("db.1", restart=ALWAYS), spec("web.1", after={"db.1"}))
    die(group, 1.0, exited(DB, 1))
    assert spawns(tick(group, 1.5)) == ["db.1"]
    again = life("db.1", 2)

    stopping = hear(group, 2.0, TERM)
    assert (cancels(stopping), kills(stopping)) == ([again], [Kill(WEB, SIGTERM)])
    assert kills(hear(group, 2.0, Spawned(again))) == [Kill(again, SIGTERM)]


def test_an_unanswered_start_of_a_dependent_keeps_its_dependency_running() -> None:
    """The life may already exist."""
    group = started(spec("db.1"), spec("web.1", restart=ALWAYS, after={"db.1"}))
    die(group, 1.0, exited(WEB, 1))
    tick(group, 1.5)
    again = life("web.1", 2)

    stopping = hear(group, 2.0, TERM)
    assert (cancels(stopping), kills(stopping)) == ([again], [])
    assert kills(hear(group, 2.5, SpawnFailed(again, "cancelled"))) == [Kill(DB, SIGTERM)]


def test_an_instance_whose_start_was_cancelled_can_be_started_again() -> None:
    group = Group([spec("web.1"), spec("worker.1")])
    begin(group)

    assert hear(group, 1.0, GoalRequest("web", Goal.DOWN))[0] == CancelSpawn(WEB)
    assert hear(group, 2.0, GoalRequest("web", Goal.UP)) == []
    assert hear(group, 3.0, RestartRequest("web")) == []
    assert hear(group, 4.0, SpawnFailed(WEB, "cancelled")) == [
        seen("web.1", STARTING, STOPPED),
        Spawn(life("web.1", 2)),
        seen("web.1", STOPPED, STARTING),
    ]


def test_a_restart_request_during_a_pending_start_has_no_effect() -> None:
    group = Group([spec("web.1")])
    begin(group)

    assert hear(group, 1.0, RestartRequest("web")) == []
    assert hear(group, 2.0, Spawned(WEB))[0] == Started(WEB)


def test_scaling_down_cancels_a_pending_start() -> None:
    group = two_webs()
    assert spawns(hear(group, 1.0, ScaleRequest("web", 3))) == ["web.3"]
    third = life("web.3")

    assert hear(group, 2.0, ScaleRequest("web", 2)) == [CancelSpawn(third)]
    assert hear(group, 3.0, SpawnFailed(third, "cancelled")) == [seen("web.3", STARTING, STOPPED)]
    assert group.phase is Phase.RUNNING


def test_a_stop_ends_a_rolling_update_whose_new_life_is_still_spawning() -> None:
    group = two_webs(start_first=True)
    assert spawns(hear(group, 1.0, RestartRequest("web"))) == ["web.1"]
    again = life("web.1", 2)

    outputs = hear(group, 2.0, GoalRequest("web.1", Goal.DOWN))
    assert outputs[:2] == [CancelSpawn(again), Updated("web.1", replaced=False)]
    assert kills(outputs) == [Kill(WEB, SIGTERM)]
    # The update does not go on to the next instance either.
    assert hear(group, 2.5, SpawnFailed(again, "cancelled")) == []
    assert die(group, 3.0, exited(WEB))[-1] == seen("web.1", EXITED, STOPPED)


def test_a_failure_cancels_a_spawning_oneshot_but_lets_a_running_one_finish() -> None:
    static = life("static.1")
    group = Group(
        [spec("web.1"), spec("migrate.1", oneshot=True), spec("static.1", oneshot=True)],
    )
    begin(group)
    group.take(0.0, Spawned(WEB))
    tick(group, 0.0)
    group.take(0.5, Spawned(MIGRATE))

    assert hear(group, 1.0, exited(WEB, 3))[2:] == [
        StoppingAll(),
        CancelSpawn(static),
        WaitingToFinish(("migrate.1",), 1.0),
    ]


# ---- a project that cannot be loaded ----


def test_a_project_that_cannot_be_loaded_stops_everything() -> None:
    group = Group([spec("migrate.1", oneshot=True), spec("beat.1"), spec("web.1")])
    begin(group)
    tick(group, 0.0)
    group.take(0.0, Spawned(MIGRATE))
    group.take(0.0, Spawned(BEAT))

    assert hear(group, 1.0, BROKEN) == [
        NotPreloaded("It cannot be loaded."),
        StoppingAll(),
        CancelSpawn(WEB),
        *stopped(BEAT),
        WaitingToFinish(("migrate.1",), 1.0),
    ]
    # The failure is reported once.
    assert hear(group, 1.0, BROKEN) == []


# ---- an output that stalls ----


def test_no_process_is_restarted_while_the_output_stalls() -> None:
    group = started(spec("web.1", restart=ALWAYS, backoff_initial=0.5), spec("worker.1"))
    assert group.take(1.0, OutputStalled()) == []

    die(group, 2.0, exited(WEB, 4))
    assert group.deadline is None
    assert group.tick(100.0) == []
    assert group.take(200.0, OutputResumed()) == []
    assert group.deadline == 2.5
    assert spawns(group.tick(200.0)) == ["web.1"]


def test_a_restart_without_backoff_also_waits_while_the_output_stalls() -> None:
    group = started(spec("web.1", restart=ALWAYS, backoff_initial=0))
    take(group, 1.0, OutputStalled())

    assert spawns(die(group, 2.0, exited(WEB, 4))) == []
    assert group.snapshot(2.0).instances[0].state is State.BACKOFF
    assert spawns(take(group, 3.0, OutputResumed())) == ["web.1"]


def test_a_first_start_does_not_wait_for_a_stalled_output() -> None:
    group = Group([spec("db.1", notifies=True), spec("web.1", after={"db.1"})])
    start(group)
    take(group, 1.0, OutputStalled())

    assert spawns(take(group, 2.0, ready(DB))) == ["web.1"]


def test_start_and_restart_requests_wait_while_the_output_stalls() -> None:
    group = started(spec("web.1"), spec("worker.1"))
    assert kills(take(group, 1.0, OutputStalled(), GoalRequest("web", Goal.DOWN))) == [
        Kill(WEB, SIGTERM)
    ]
    die(group, 2.0, exited(WEB))

    assert spawns(take(group, 3.0, GoalRequest("web", Goal.UP))) == []
    assert kills(take(group, 3.0, RestartRequest("worker"))) == []
    # Instances that have never been started do not wait.
    assert spawns(take(group, 3.0, ScaleRequest("web", 2))) == ["web.2"]
    resumed = take(group, 4.0, OutputResumed())
    assert (spawns(resumed), kills(resumed)) == (["web.1"], [Kill(WORKER, SIGTERM)])


def test_a_stop_does_not_wait_for_a_stalled_output() -> None:
    group = started(spec("web.1", restart=ALWAYS), spec("worker.1"))
    take(group, 1.0, OutputStalled())
    die(group, 2.0, exited(WEB, 4))

    assert kills(group.take(3.0, Signalled(SIGTERM))) == [Kill(WORKER, SIGTERM)]
    assert die(group, 3.5, exited(WORKER))[-1] == AllStopped(0, after=0.5)


def test_recycling_is_not_a_failure() -> None:
    group = started(spec("worker.1", restart=ON_FAILURE, recycles=True, start_burst=1))

    (end, _) = hear(group, 5.0, exited(WORKER, 0))
    assert end == ended(WORKER, LifeState.RUNNING, after=5.0, lasted=5.0, consequence=Restart(0.0))
    # It was ready, so there is no backoff: only the sweep of its process group comes first.
    assert group.deadline == 5.0
    assert kills(tick(group, 5.0)) == [Kill(WORKER, SIGKILL, group=True)]
    assert spawns(hear(group, 5.0, GroupGone(WORKER))) == ["worker.1"]


# ---- faults ----

CHECK = CheckSchedule(interval=10.0, timeout=3.0, retries=1)


def faulty(**more: Any) -> Group:
    """`web.1` became ready at 2; `beat.1` is unrelated."""
    group = started(spec("web.1", notifies=True, **more), spec("beat.1"))
    hear(group, 2.0, ready(WEB))
    return group


def not_ready(**more: Any) -> tuple[Group, list[Output]]:
    group = started(spec("web.1", notifies=True, ready_timeout=60.0, **more), spec("beat.1"))
    return group, tick(group, 60.0)


def unhealthy(**more: Any) -> tuple[Group, list[Output]]:
    group = faulty(check=CHECK, **more)
    assert tick(group, 12.0) == [StartProbe(WEB, ProbeKind.HEALTH)]
    return group, hear(group, 12.5, Probed(WEB, "status 500"))


def unanswered(**more: Any) -> tuple[Group, list[Output]]:
    group = faulty(check=CHECK, **more)
    tick(group, 12.0)
    cancel, *outputs = tick(group, 15.0)
    assert cancel == CancelProbe(WEB)
    return group, outputs


def silent(**more: Any) -> tuple[Group, list[Output]]:
    group = faulty(watchdog=30.0, **more)
    hear(group, 10.0, Notified(WEB, watchdog=WatchdogMessage.PING))
    assert group.deadline == 40.0
    return group, tick(group, 40.0)


def triggered(**more: Any) -> tuple[Group, list[Output]]:
    group = faulty(**more)
    return group, hear(group, 10.0, Notified(WEB, watchdog=WatchdogMessage.TRIGGER))


def too_big(**more: Any) -> tuple[Group, list[Output]]:
    group = faulty(max_memory=512_000_000, **more)
    assert tick(group, 10.0) == [Measure(WEB)]
    assert hear(group, 10.0, Measured(WEB, 512_000_000)) == []
    return group, hear(group, 20.0, Measured(WEB, 530_400_000))


FAULTS = [
    (not_ready, NotReady(60.0)),
    (unhealthy, ChecksFailed("status 500", 1)),
    (unanswered, ChecksFailed(NoAnswer(3.0), 1)),
    (silent, WatchdogSilent(30.0)),
    (triggered, WatchdogTriggered()),
    (too_big, TooMuchMemory(530_400_000, 512_000_000)),
]
each_fault = pytest.mark.parametrize("faulty", [fault for fault, _ in FAULTS])


@pytest.mark.parametrize(("faulty", "fault"), FAULTS)
def test_a_fault_stops_only_the_faulty_process(faulty: Any, fault: Fault) -> None:
    group, outputs = faulty()

    old = STARTING if faulty is not_ready else RUNNING
    assert outputs == [
        Stopping(WEB, fault),
        *asks(WEB, SIGTERM),
        seen("web.1", old, STOPPING),
    ]
    assert group.instances["beat.1"].state is RUNNING


@each_fault
def test_a_faulty_process_is_restarted_even_if_it_exits_with_0(faulty: Any) -> None:
    group, _ = faulty(restart=ON_FAILURE, backoff_initial=0)

    assert spawns(die(group, 60.5, exited(WEB, 0))) == ["web.1"]


@each_fault
@pytest.mark.parametrize(
    ("end", "status"), [(exited(WEB, 0), 1), (exited(WEB, 3), 3), (died(WEB, 15), 143)], ids=str
)
def test_a_faulty_process_that_is_not_restarted_stops_everything(
    faulty: Any, end: Exited, status: int
) -> None:
    group, _ = faulty()

    assert kills(die(group, 60.5, end)) == [Kill(BEAT, SIGTERM)]
    assert die(group, 61.0, exited(BEAT))[-1] == AllStopped(status, after=0.5)


@each_fault
def test_a_stopping_faulty_process_keeps_its_deadline_when_everything_stops(faulty: Any) -> None:
    group, _ = faulty()
    deadline = group.deadline

    assert kills(hear(group, 60.5, TERM)) == [Kill(BEAT, SIGTERM)]
    assert group.instances["web.1"].task_at == deadline
    die(group, 60.75, exited(WEB, 0))
    assert die(group, 61.0, exited(BEAT))[-1] == AllStopped(0, after=0.5)


def test_a_failed_check_is_reported_before_its_retries_are_exhausted() -> None:
    group = faulty(check=CheckSchedule(retries=3))
    tick(group, 12.0)

    assert hear(group, 12.5, Probed(WEB, "refused")) == [CheckFailed(WEB, "refused", 1, 3)]


def test_the_status_message_of_an_instance_is_reported() -> None:
    group = faulty()

    assert hear(group, 3.0, Notified(WEB, status="4 tasks")) == [StatusReported(WEB, "4 tasks")]


# ---- slow stops ----


def slow(**more: Any) -> Group:
    group = started(
        spec("web.1", stop_timeout=25.0, **more),
        spec("quick.1"),
        spec("worker.1", stop_timeout=20.0, escalation_signal=SIGQUIT),
    )
    hear(group, 10.0, TERM)
    die(group, 10.5, exited(life("quick.1")))
    return group


def until_killed(group: Group) -> list[tuple[float, Output]]:
    told = []
    while group.deadline is not None and group.deadline < 35.5:
        now = group.deadline
        told += [
            (now, one)
            for one in tick(group, now)
            if not isinstance(one, (StateChanged, Killing, Lost))
        ]
    return told


def test_slow_stops_share_a_first_notice_and_get_another_at_half_time() -> None:
    assert until_killed(slow()) == [
        (11.0, StillRunning(("web.1", "worker.1"), 24.0)),
        (20.0, StillRunning(("worker.1",), 10.0)),
        (22.5, StillRunning(("web.1",), 12.5)),
        (24.0, Escalated(WORKER, SIGQUIT)),
        *((24.0, kill) for kill in asks(WORKER, SIGQUIT)),
        (30.0, Kill(WORKER, SIGKILL, group=True)),
        (35.0, Kill(WEB, SIGKILL, group=True)),
    ]


def test_the_slow_stop_notice_contains_each_status_sent_during_the_stop() -> None:
    group = slow()
    hear(group, 10.1, Notified(WORKER, status="2 tasks, oldest 14 s"))

    assert until_killed(group)[:3] == [
        (11.0, StillRunning(("web.1", "worker.1"), 24.0, {"worker.1": "2 tasks, oldest 14 s"})),
        (20.0, StillRunning(("worker.1",), 10.0, {"worker.1": "2 tasks, oldest 14 s"})),
        (22.5, StillRunning(("web.1",), 12.5)),
    ]


def test_the_slow_stop_notice_omits_a_status_sent_before_the_stop() -> None:
    group = started(spec("web.1", stop_timeout=25.0), spec("worker.1", stop_timeout=25.0))
    hear(group, 9.0, Notified(WORKER, status="busy"))
    hear(group, 10.0, TERM)

    assert tick(group, 11.0) == [StillRunning(("web.1", "worker.1"), 24.0)]


def test_a_process_that_exits_after_escalation_has_stopped_in_time() -> None:
    group = slow()
    die(group, 11.0, exited(WEB))
    tick(group, 24.0)

    assert die(group, 24.5, exited(WORKER))[-1] == AllStopped(0, after=14.5)


def test_a_slow_stop_notice_follows_kills_due_at_the_same_moment() -> None:
    group = started(
        spec("web.1", stop_timeout=25.0), spec("worker.1", stop_timeout=1.0), spec("beat.1")
    )
    hear(group, 10.0, TERM)

    assert tick(group, 11.0) == [
        Killing(WORKER, overran=1.0),
        Kill(WORKER, SIGKILL, group=True),
        seen("worker.1", STOPPING, State.KILLING),
        Killing(BEAT, overran=1.0),
        Kill(BEAT, SIGKILL, group=True),
        seen("beat.1", STOPPING, State.KILLING),
        StillRunning(("web.1",), 24.0),
    ]


# ---- lives that survive SIGKILL ----


def test_a_process_that_survives_sigkill_is_given_up_with_exit_status_1() -> None:
    group = web_and_worker()
    hear(group, 10.0, TERM)
    die(group, 10.5, exited(WORKER))
    assert kills(tick(group, 11.0)) == [Kill(WEB, SIGKILL, group=True)]

    assert group.deadline == 16.0
    assert tick(group, 16.0) == [
        Lost(WEB, 5.0),
        seen("web.1", State.KILLING, STOPPED),
        AllStopped(1, after=6.0),
    ]
    assert group.exit_status == 1


def test_a_process_that_survives_a_second_signal_makes_the_exit_status_1() -> None:
    group = started(spec("web.1"))
    hear(group, 10.0, TERM)
    hear(group, 10.25, TERM)

    assert tick(group, 15.25)[-1] == AllStopped(1, after=5.25)


def test_a_process_group_that_survives_sigkill_is_given_up_with_exit_status_1() -> None:
    group = started(spec("web.1"))
    hear(group, 10.0, TERM)
    hear(group, 10.5, exited(WEB))
    for now in (11.5, 12.5, 13.5, 14.5, 15.5):
        assert kills(tick(group, now)) == [Kill(WEB, SIGKILL, group=True)]

    assert tick(group, 16.5) == [
        Kill(WEB, SIGKILL, group=True),
        Lost(WEB, 5.0),
        seen("web.1", EXITED, STOPPED),
        AllStopped(1, after=6.5),
    ]


def test_a_lost_life_does_not_delay_the_stop_of_its_dependency() -> None:
    group = started(spec("db.1"), spec("web.1", after={"db.1"}))
    hear(group, 10.0, TERM)
    tick(group, 11.0)

    assert tick(group, 16.0) == [
        Lost(WEB, 5.0),
        seen("web.1", State.KILLING, STOPPED),
        *stopped(DB),
    ]
    assert die(group, 16.5, exited(DB))[-1] == AllStopped(1, after=6.5)


def test_a_lost_life_that_exits_later_still_makes_the_exit_status_1() -> None:
    group = started(spec("web.1"), spec("worker.1", stop_timeout=25.0))
    hear(group, 10.0, TERM)
    tick(group, 11.0)
    tick(group, 16.0)
    die(group, 17.0, died(WEB, 9))

    assert die(group, 18.0, exited(WORKER))[-1] == AllStopped(1, after=8.0)


def test_a_life_lost_before_the_stop_and_still_alive_makes_the_exit_status_1() -> None:
    group = started(spec("web.1", restart=ALWAYS))
    hear(group, 10.0, Notified(WEB, watchdog=WatchdogMessage.TRIGGER))
    tick(group, 11.0)
    assert tick(group, 16.0)[0] == Lost(WEB, 5.0, Restart(0.5))
    settle(group, 16.5, tick(group, 16.5))
    hear(group, 20.0, TERM)

    assert die(group, 20.5, exited(life("web.1", 2)))[-1] == AllStopped(1, after=0.5)


def test_a_life_lost_before_the_stop_that_exits_does_not_change_the_exit_status() -> None:
    group = started(spec("web.1", restart=ALWAYS))
    hear(group, 10.0, Notified(WEB, watchdog=WatchdogMessage.TRIGGER))
    tick(group, 11.0)
    tick(group, 16.0)
    settle(group, 16.5, tick(group, 16.5))
    die(group, 17.0, died(WEB, 9))
    hear(group, 20.0, TERM)

    assert die(group, 20.5, exited(life("web.1", 2)))[-1] == AllStopped(0, after=0.5)


# ---- the watchdog of the supervisor ----


def test_the_supervisor_pings_its_watchdog_at_start_and_every_half_interval() -> None:
    group = Group([spec("web.1")], watchdog=30.0)
    group.start(10.0)

    assert group.deadline == 10.0
    assert tick(group, 10.0)[0] == Alive()
    assert group.deadline == 25.0
    assert tick(group, 24.0) == []
    assert tick(group, 25.5) == [Alive()]
    assert group.deadline == 40.5


def test_the_supervisor_pings_its_watchdog_until_everything_has_stopped() -> None:
    group = Group([spec("web.1", stop_timeout=0.75)], watchdog=0.5)
    start(group)
    tick(group, 0.0)
    hear(group, 0.125, TERM)

    assert tick(group, 0.25) == [Alive()]
    assert tick(group, 0.5) == [Alive()]
    die(group, 0.5, exited(WEB))
    assert group.deadline is None
    assert tick(group, 10.0) == []


# ---- other signals ----


@pytest.mark.parametrize("signal", [Signals.SIGUSR1, Signals.SIGUSR2], ids=lambda s: s.name)
def test_a_user_signal_is_forwarded_to_ready_processes_that_declare_it(signal: Signals) -> None:
    group = started(
        spec("web.1", forwards={signal}),
        spec("worker.1"),
        spec("slow.1", forwards={signal}, notifies=True),
        spec("beat.1", forwards={signal}),
    )

    # Not to the slow one: it is not ready, and may have no handler yet.
    assert hear(group, 1.0, Signalled(signal)) == [
        SignalReceived(signal, SignalEffect.FORWARD),
        Kill(WEB, signal),
        Kill(BEAT, signal),
    ]


def test_a_user_signal_that_no_process_declares_is_ignored() -> None:
    group = started(spec("web.1", forwards={Signals.SIGUSR2}))

    assert hear(group, 1.0, Signalled(Signals.SIGUSR1)) == [
        SignalReceived(Signals.SIGUSR1, SignalEffect.NOTHING)
    ]


def test_a_user_signal_is_not_forwarded_to_a_stopping_process() -> None:
    group = started(spec("web.1", forwards={Signals.SIGUSR1}))
    hear(group, 1.0, TERM)

    assert kills(hear(group, 2.0, Signalled(Signals.SIGUSR1))) == []


def test_a_hangup_is_reported_and_otherwise_ignored() -> None:
    group = web_and_worker()

    assert hear(group, 1.0, Signalled(Signals.SIGHUP)) == [
        SignalReceived(Signals.SIGHUP, SignalEffect.NOTHING)
    ]
    assert hear(group, 2.0, TERM)[0] == TERM_RECEIVED


def test_a_hangup_from_a_closed_terminal_stops_everything() -> None:
    hangup = Signalled(Signals.SIGHUP)
    group = Group([spec("web.1")], stop_signals=STOP_SIGNALS_AT_TERMINAL)
    settle(group, 0.0, group.start(0.0))

    assert group.take(1.0, hangup)[0] == SignalReceived(Signals.SIGHUP, SignalEffect.STOP)
    # The kernel sends one SIGHUP, and the shell another.
    assert group.take(1.1, hangup) == [SignalReceived(Signals.SIGHUP, SignalEffect.NOTHING)]
    die(group, 1.2, died(WEB, 15))
    assert group.exit_status == 129


def test_a_hangup_after_sigterm_kills_nothing_but_a_second_sigterm_does() -> None:
    group = Group([spec("web.1")], stop_signals=STOP_SIGNALS_AT_TERMINAL)
    settle(group, 0.0, group.start(0.0))
    group.take(1.0, TERM)
    assert kills(group.take(1.1, Signalled(Signals.SIGHUP))) == []

    assert kills(group.take(1.2, TERM)) == [Kill(WEB, SIGKILL, group=True)]
    assert die(group, 1.2, died(WEB, 9))
    assert group.exit_status == 143


def test_stop_user_and_hangup_signals_are_handled() -> None:
    assert {signal.name for signal in HANDLED} == {
        *("SIGTERM", "SIGINT", "SIGQUIT"),
        *("SIGUSR1", "SIGUSR2", "SIGHUP"),
    }


# ---- requests: stop and start ----


def two_webs(**more: Any) -> Group:
    return started(spec("web.1", **more), spec("web.2", **more), spec("worker.1"))


WEB_2 = life("web.2")


def test_a_stop_request_stops_one_instance_and_the_others_keep_running() -> None:
    group = two_webs()

    assert hear(group, 5.0, GoalRequest("web.1", Goal.DOWN)) == stopped(WEB)
    assert die(group, 5.5, exited(WEB)) == [
        ended(WEB, LifeState.STOPPING, after=5.5, lasted=0.5, expected=True),
        seen("web.1", STOPPING, EXITED),
        seen("web.1", EXITED, STOPPED),
    ]
    assert states(group) == {"web.1": STOPPED, "web.2": RUNNING, "worker.1": RUNNING}
    assert (group.phase, group.deadline) == (Phase.RUNNING, None)


def test_a_process_is_stopped_on_request_with_all_its_instances() -> None:
    assert two_webs().take(5.0, GoalRequest("web", Goal.DOWN)) == [
        *stopped(WEB),
        *stopped(WEB_2),
    ]


def test_a_requested_stop_does_not_wait_for_dependents() -> None:
    group = started(spec("db.1"), spec("web.1", after={"db.1"}))

    assert kills(hear(group, 5.0, GoalRequest("db", Goal.DOWN))) == [Kill(DB, SIGTERM)]
    assert group.instances["web.1"].state is RUNNING


@pytest.mark.parametrize("end", [exited(WEB, 0), exited(WEB, 7), died(WEB, 11)], ids=str)
def test_a_requested_stop_is_not_a_failure_whatever_the_exit_status(end: Exited) -> None:
    group = two_webs()
    hear(group, 5.0, GoalRequest("web.1", Goal.DOWN))
    die(group, 5.5, end)

    assert group.phase is Phase.RUNNING
    assert group.instances["web.1"].state is STOPPED


def test_a_kill_after_a_requested_stop_does_not_change_the_exit_status() -> None:
    group = two_webs()
    hear(group, 5.0, GoalRequest("web.1", Goal.DOWN))
    tick(group, 6.0)
    die(group, 6.5, died(WEB, 9))
    hear(group, 10.0, TERM)

    assert die(group, 10.5, exited(WEB_2), exited(WORKER))[-1] == AllStopped(0, after=0.5)


def test_a_stopped_process_is_started_on_request() -> None:
    group = two_webs()
    hear(group, 5.0, GoalRequest("web", Goal.DOWN))
    die(group, 5.5, exited(WEB), exited(WEB_2))

    assert take(group, 6.0, GoalRequest("web", Goal.UP)) == [
        Spawn(life("web.1", 2)),
        seen("web.1", STOPPED, STARTING),
        Started(life("web.1", 2)),
        seen("web.1", STARTING, RUNNING),
        Spawn(life("web.2", 2)),
        seen("web.2", STOPPED, STARTING),
        Started(life("web.2", 2)),
        seen("web.2", STARTING, RUNNING),
    ]


def test_a_start_request_for_a_running_process_has_no_effect() -> None:
    assert two_webs().take(5.0, GoalRequest("web", Goal.UP)) == []


def test_a_start_request_during_a_stop_starts_a_new_life_after_the_exit() -> None:
    group = two_webs()
    hear(group, 5.0, GoalRequest("web.1", Goal.DOWN))

    assert hear(group, 5.25, GoalRequest("web.1", Goal.UP)) == []
    assert spawns(die(group, 5.5, exited(WEB))) == ["web.1"]


def test_a_start_request_ends_the_backoff_of_an_instance() -> None:
    group = two_webs(restart=ALWAYS)
    die(group, 5.0, exited(WEB, 1))
    assert group.instances["web.1"].state is State.BACKOFF

    assert spawns(hear(group, 5.25, GoalRequest("web.1", Goal.UP))) == ["web.1"]


def test_a_stop_request_during_backoff_cancels_the_restart() -> None:
    group = two_webs(restart=ALWAYS)
    die(group, 5.0, exited(WEB, 1))

    assert hear(group, 5.25, GoalRequest("web.1", Goal.DOWN)) == [
        seen("web.1", State.BACKOFF, STOPPED)
    ]
    assert group.deadline is None


def test_a_process_started_on_request_waits_for_its_dependency() -> None:
    group = started(spec("db.1", notifies=True), spec("web.1", after={"db.1"}))
    assert hear(group, 1.0, GoalRequest("web", Goal.DOWN)) == [seen("web.1", WAITING, STOPPED)]

    assert hear(group, 2.0, GoalRequest("web", Goal.UP)) == [seen("web.1", STOPPED, WAITING)]
    assert spawns(hear(group, 3.0, ready(DB))) == ["web.1"]


def test_a_dependent_does_not_wait_for_a_dependency_stopped_on_request() -> None:
    group = started(spec("db.1", notifies=True), spec("web.1", after={"db.1"}))

    stop = hear(group, 1.0, GoalRequest("db", Goal.DOWN))
    assert spawns(stop) == ["web.1"]
    assert hear(group, 1.0, Spawned(WEB))[-1] == AllReady(1, after=1.0)


def test_a_oneshot_is_run_again_on_request() -> None:
    group = started(spec("migrate.1", oneshot=True), spec("web.1"))
    die(group, 1.0, exited(MIGRATE))

    assert spawns(hear(group, 5.0, GoalRequest("migrate", Goal.UP))) == ["migrate.1"]
    hear(group, 5.0, Spawned(life("migrate.1", 2)))
    assert die(group, 6.0, exited(life("migrate.1", 2))) == [
        ended(
            life("migrate.1", 2),
            LifeState.STARTING,
            after=1.0,
            lasted=1.0,
            expected=True,
            oneshot=True,
        ),
        seen("migrate.1", STARTING, EXITED),
    ]


# ---- requests: restart ----


def test_an_instance_is_restarted_on_request() -> None:
    group = two_webs()

    assert hear(group, 5.0, RestartRequest("web.1")) == stopped(WEB)
    hear(group, 5.5, exited(WEB))
    assert spawns(hear(group, 5.5, GroupGone(WEB))) == ["web.1"]
    assert hear(group, 5.5, Spawned(life("web.1", 2))) == [
        Started(life("web.1", 2)),
        Updated("web.1", replaced=True),
        seen("web.1", STARTING, RUNNING),
    ]


def test_the_instances_of_a_process_are_restarted_one_by_one() -> None:
    group = two_webs(notifies=True)
    take(group, 1.0, ready(WEB), ready(WEB_2))
    again, again_2 = life("web.1", 2), life("web.2", 2)

    assert kills(hear(group, 5.0, RestartRequest("web"))) == [Kill(WEB, SIGTERM)]
    die(group, 5.5, exited(WEB))
    assert kills(take(group, 5.5, Spawned(again))) == []
    # The next instance is asked to stop once this one is ready.
    assert kills(hear(group, 6.0, ready(again))) == [Kill(WEB_2, SIGTERM)]
    die(group, 6.5, exited(WEB_2))
    take(group, 6.5, Spawned(again_2))
    assert hear(group, 7.0, ready(again_2)) == [
        Ready(again_2, 0.5),
        Updated("web.2", replaced=True),
        seen("web.2", STARTING, RUNNING),
    ]


def test_instances_that_start_first_are_restarted_one_by_one() -> None:
    group = two_webs(notifies=True, start_first=True)
    take(group, 1.0, ready(WEB), ready(WEB_2))
    again = life("web.1", 2)

    assert hear(group, 5.0, RestartRequest("web")) == [Spawn(again)]
    assert hear(group, 5.0, Spawned(again)) == []
    outputs = hear(group, 6.0, ready(again))
    assert outputs[:5] == [
        Ready(again, 1.0),
        Updated("web.1", replaced=True),
        Stopping(WEB),
        *asks(WEB, SIGTERM),
    ]
    outputs += die(group, 6.5, exited(WEB))
    assert spawns(outputs) == ["web.2"]


@pytest.mark.parametrize("start_first", [False, True])
def test_a_restart_request_during_a_rolling_restart_has_no_immediate_effect(
    start_first: bool,
) -> None:
    group = two_webs(notifies=True, start_first=start_first)
    take(group, 1.0, ready(WEB), ready(WEB_2))
    hear(group, 5.0, RestartRequest("web"))

    assert hear(group, 5.0, RestartRequest("web.2")) == []
    assert hear(group, 5.0, RestartRequest("web.2")) == []


def test_a_failed_update_cancels_the_updates_of_the_remaining_instances() -> None:
    group = two_webs(notifies=True, start_first=True)
    take(group, 1.0, ready(WEB), ready(WEB_2))
    take(group, 5.0, RestartRequest("web"))

    assert hear(group, 5.5, exited(life("web.1", 2), 1)) == [
        ended(life("web.1", 2), LifeState.STARTING, 1, after=0.5, lasted=0.5),
        Updated("web.1", replaced=False),
    ]
    assert hear(group, 5.5, GroupGone(life("web.1", 2))) == [Retired(life("web.1", 2))]
    assert states(group) == {"web.1": RUNNING, "web.2": RUNNING, "worker.1": RUNNING}
    assert group.phase is Phase.RUNNING


def test_the_next_update_starts_once_an_updated_oneshot_has_finished() -> None:
    group = started(spec("migrate.1", oneshot=True), spec("web.1"))
    hear(group, 5.0, RestartRequest("migrate"))
    hear(group, 5.0, RestartRequest("web"))
    die(group, 5.5, died(MIGRATE, 15))
    again = life("migrate.1", 2)
    hear(group, 5.5, Spawned(again))

    assert kills(hear(group, 6.0, exited(again))) == [Kill(WEB, SIGTERM)]


def test_a_restart_request_starts_a_stopped_instance() -> None:
    group = two_webs()
    hear(group, 5.0, GoalRequest("web.1", Goal.DOWN))
    die(group, 5.5, exited(WEB))

    assert spawns(hear(group, 6.0, RestartRequest("web.1"))) == ["web.1"]


def test_a_process_restart_skips_stopped_instances_unless_all_are_stopped() -> None:
    """Instances that `scale` or `stop` has taken down stay down."""
    group = two_webs()
    hear(group, 5.0, ScaleRequest("web", 1))
    die(group, 5.5, exited(WEB_2))

    outputs = hear(group, 6.0, RestartRequest("web"))
    assert (spawns(outputs), kills(outputs)) == ([], [Kill(WEB, SIGTERM)])

    hear(group, 7.0, GoalRequest("web", Goal.DOWN))
    die(group, 7.5, exited(WEB))
    outputs = hear(group, 8.0, RestartRequest("web"))
    assert sorted(spawns(outputs)) == ["web.1", "web.2"]


def test_a_queued_restart_does_not_start_an_instance_stopped_meanwhile() -> None:
    group = two_webs(notifies=True)
    take(group, 1.0, ready(WEB), ready(WEB_2))
    hear(group, 5.0, RestartRequest("web"))
    hear(group, 5.25, GoalRequest("web.2", Goal.DOWN))
    die(group, 5.5, exited(WEB), exited(WEB_2))
    take(group, 5.5, Spawned(life("web.1", 2)))

    assert spawns(hear(group, 6.0, ready(life("web.1", 2)))) == []
    assert group.instances["web.2"].state is STOPPED


def test_a_stop_of_everything_ends_all_updates() -> None:
    group = two_webs(notifies=True)
    take(group, 1.0, ready(WEB), ready(WEB_2))
    hear(group, 5.0, RestartRequest("web"))

    assert hear(group, 5.25, TERM) == [
        TERM_RECEIVED,
        StoppingAll(),
        Updated("web.1", replaced=False),
        *stopped(WEB_2),
        *stopped(WORKER),
    ]
    assert spawns(die(group, 5.5, exited(WEB), exited(WEB_2), exited(WORKER))) == []
    assert group.exit_status == 0


def test_an_old_life_killed_while_everything_stops_makes_the_exit_status_1() -> None:
    group = started(spec("web.1", notifies=True, start_first=True), spec("worker.1"))
    take(group, 1.0, ready(WEB))
    take(group, 5.0, RestartRequest("web"))
    hear(group, 6.0, ready(life("web.1", 2)))
    hear(group, 6.5, TERM)
    die(group, 6.75, exited(life("web.1", 2)), exited(WORKER))
    assert kills(tick(group, 7.0)) == [Kill(WEB, SIGKILL, group=True)]

    assert die(group, 7.25, died(WEB, 9))[-1] == AllStopped(1, after=0.75)


# ---- held sockets ----


def unlistened(outputs: Iterable[Output]) -> list[str]:
    return [output.process for output in outputs if isinstance(output, Unlisten)]


def listening(*names: str, **more: Any) -> Group:
    return started(*(spec(name, holds=True, **more) for name in names), spec("worker.1"))


def test_a_stop_closes_the_held_socket_before_it_sends_stop_signals() -> None:
    group = listening("web.1", "web.2")

    outputs = hear(group, 5.0, GoalRequest("web", Goal.DOWN))

    assert outputs == [Unlisten("web"), *stopped(WEB), *stopped(WEB_2)]


def test_the_held_socket_stays_open_until_the_last_instance_is_stopped() -> None:
    group = listening("web.1", "web.2")

    assert unlistened(take(group, 5.0, GoalRequest("web.1", Goal.DOWN))) == []
    assert unlistened(take(group, 6.0, GoalRequest("web.2", Goal.DOWN))) == ["web"]
    assert unlistened(take(group, 7.0, GoalRequest("web.2", Goal.DOWN))) == []


def test_scaling_a_process_to_0_closes_its_held_socket() -> None:
    group = listening("web.1", "web.2")

    assert unlistened(take(group, 5.0, ScaleRequest("web", 1))) == []
    assert unlistened(take(group, 6.0, ScaleRequest("web", 0))) == ["web"]


def test_the_held_socket_stays_open_during_a_restart() -> None:
    group = listening("web.1", restart=RestartPolicy.ALWAYS)

    assert unlistened(take(group, 5.0, RestartRequest("web"))) == []
    assert unlistened(settle(group, 6.0, die(group, 6.0, exited(WEB)))) == []
    assert unlistened(die(group, 9.0, exited(life("web.1", 2), 1))) == []


def test_a_second_stop_closes_the_held_socket_again() -> None:
    group = listening("web.1")
    take(group, 5.0, GoalRequest("web", Goal.DOWN))
    die(group, 5.5, exited(WEB))

    take(group, 6.0, GoalRequest("web", Goal.UP))

    assert unlistened(take(group, 7.0, GoalRequest("web", Goal.DOWN))) == ["web"]


def test_shutdown_closes_each_held_socket_when_its_process_is_stopped() -> None:
    group = started(spec("web.1", holds=True), spec("proxy.1", holds=True, after={"web.1"}))

    assert unlistened(hear(group, 5.0, TERM)) == ["proxy"]
    assert unlistened(die(group, 6.0, exited(life("proxy.1")))) == ["web"]


def test_stopping_a_process_without_a_held_socket_closes_none() -> None:
    group = two_webs()

    assert unlistened(take(group, 5.0, GoalRequest("web", Goal.DOWN))) == []
    assert unlistened(hear(group, 6.0, TERM)) == []


# ---- requests: scale ----


def test_scaling_up_starts_new_instances_like_the_first() -> None:
    group = started(spec("web.1", stop_signal=SIGINT), spec("worker.1"))

    outputs = take(group, 5.0, ScaleRequest("web", 3))

    assert spawns(outputs) == ["web.2", "web.3"]
    assert group.instances["web.3"].spec == spec("web.3", stop_signal=SIGINT)
    assert kills(hear(group, 6.0, TERM)) == [
        Kill(WEB, SIGINT),
        Kill(WEB_2, SIGINT),
        Kill(life("web.3"), SIGINT),
        Kill(WORKER, SIGTERM),
    ]


def test_scaling_down_stops_the_instances_with_the_highest_numbers() -> None:
    group = started(spec("web.1"), spec("web.2"), spec("web.3"), spec("worker.1"))

    assert hear(group, 5.0, ScaleRequest("web", 1)) == [*stopped(WEB_2), *stopped(life("web.3"))]


def test_a_process_restart_does_not_start_instances_that_were_scaled_down() -> None:
    group = started(spec("web.1"), spec("worker.1"))
    take(group, 5.0, ScaleRequest("web", 2))
    hear(group, 6.0, ScaleRequest("web", 1))
    die(group, 6.5, exited(WEB_2))

    assert hear(group, 7.0, RestartRequest("web")) == stopped(WEB)
    assert spawns(die(group, 7.5, exited(WEB))) == ["web.1"]


def test_scaling_to_0_stops_all_instances_and_other_processes_keep_running() -> None:
    group = two_webs()

    assert hear(group, 5.0, ScaleRequest("web", 0)) == [*stopped(WEB), *stopped(WEB_2)]
    die(group, 5.5, exited(WEB), exited(WEB_2))
    assert states(group) == {"web.1": STOPPED, "web.2": STOPPED, "worker.1": RUNNING}
    assert group.phase is Phase.RUNNING


def test_a_group_whose_only_process_was_stopped_is_not_reported_ready() -> None:
    group = Group([spec("web.1", notifies=True)])
    start(group)

    assert not any(isinstance(out, AllReady) for out in group.want(1.0, "web", Goal.DOWN))
    assert group.phase is Phase.STARTING


def test_scaling_up_again_starts_the_instances_that_were_scaled_down() -> None:
    group = two_webs()
    hear(group, 5.0, ScaleRequest("web", 0))
    die(group, 5.5, exited(WEB), exited(WEB_2))

    assert spawns(take(group, 6.0, ScaleRequest("web", 2))) == ["web.1", "web.2"]


def test_scaling_to_the_current_number_of_instances_changes_nothing() -> None:
    assert two_webs().take(5.0, ScaleRequest("web", 2)) == []


def test_scaling_starts_a_stopped_first_instance_and_stops_the_second() -> None:
    group = two_webs()
    hear(group, 5.0, GoalRequest("web.1", Goal.DOWN))
    die(group, 5.5, exited(WEB))

    outputs = hear(group, 6.0, ScaleRequest("web", 1))
    assert (spawns(outputs), kills(outputs)) == (["web.1"], [Kill(WEB_2, SIGTERM)])


def test_new_instances_wait_for_their_dependencies() -> None:
    group = started(spec("db.1", notifies=True), spec("web.1", after={"db.1"}))

    assert hear(group, 1.0, ScaleRequest("web", 2)) == [seen("web.2", STOPPED, WAITING)]
    assert spawns(take(group, 2.0, ready(DB))) == ["web.1", "web.2"]


def test_a_dependent_also_waits_for_new_instances_of_its_dependency() -> None:
    group = started(spec("db.1", notifies=True), spec("web.1", after={"db.1"}))
    take(group, 1.0, ScaleRequest("db", 2))

    assert spawns(hear(group, 2.0, ready(DB))) == []
    assert spawns(hear(group, 3.0, ready(life("db.2")))) == ["web.1"]


def test_a_refused_start_of_a_scaled_up_instance_stops_everything() -> None:
    group = started(spec("web.1"))
    hear(group, 1.0, ScaleRequest("web", 2))

    assert kills(hear(group, 1.0, SpawnFailed(WEB_2, "no memory"))) == [Kill(WEB, SIGTERM)]


# ---- requests that are refused ----


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (GoalRequest("mail", Goal.UP), "mail"),
        (GoalRequest("web.9", Goal.DOWN), "web.9"),
        (RestartRequest("mail"), "mail"),
        (ScaleRequest("mail", 2), "mail"),
        # The request takes a process, not an instance.
        (ScaleRequest("web.1", 2), "web.1"),
    ],
    ids=str,
)
def test_a_request_for_an_unknown_name_is_refused(request_: Request, name: str) -> None:
    group = two_webs()
    before = states(group)

    assert hear(group, 5.0, request_) == [RequestRefused(name, Refusal.NO_SUCH_NAME)]
    assert states(group) == before


@pytest.mark.parametrize(
    "request_",
    [
        GoalRequest("web.1", Goal.UP),
        GoalRequest("web", Goal.DOWN),
        RestartRequest("web"),
        ScaleRequest("web", 5),
    ],
    ids=str,
)
@pytest.mark.parametrize("reasons", [[TERM], [TERM, TERM], [OutputGone()], [BROKEN]], ids=str)
def test_while_everything_stops_requests_are_refused(
    request_: Request, reasons: list[Event]
) -> None:
    group = two_webs()
    take(group, 5.0, *reasons)
    before = states(group)
    name = request_.process if isinstance(request_, ScaleRequest) else request_.name

    assert hear(group, 5.25, request_) == [RequestRefused(name, Refusal.STOPPING)]
    assert states(group) == before


# ---- the exit status, row by row as in the design ----

DUE = None
"""In a history: the deadline of whatever is to be stopped passes."""

History = list[Optional[Event]]
BOTH = [exited(WEB), exited(WORKER)]
GONE = (GroupGone(WEB), GroupGone(WORKER))

# `web.1` and `worker.1`, both services that are never restarted.
ROWS: list[tuple[str, History, int]] = [
    ("SIGTERM, everything stopped", [TERM, *BOTH], 0),
    ("SIGQUIT, everything stopped", [QUIT, *BOTH], 0),
    ("SIGINT, everything stopped", [INT, *BOTH], 130),
    ("SIGTERM, whatever they end with", [TERM, exited(WEB, 7), died(WORKER, 11)], 0),
    ("SIGINT, whatever they end with", [INT, exited(WEB, 7), died(WORKER, 11)], 130),
    ("a service failed", [exited(WEB, 7), exited(WORKER)], 7),
    ("a service failed, the others too", [exited(WEB, 7), exited(WORKER, 8)], 7),
    ("the first to go decides", [exited(WORKER, 8), exited(WEB, 7)], 8),
    ("a signal killed a service", [died(WEB, 11), exited(WORKER)], 139),
    ("a foreign SIGKILL", [died(WEB, 9), exited(WORKER)], 137),
    ("a service ended with 0 on its own", [exited(WEB, 0), exited(WORKER)], 1),
    ("a service failed, then SIGTERM", [exited(WEB, 7), TERM, exited(WORKER)], 7),
    ("a service failed, then SIGINT", [exited(WEB, 7), INT, exited(WORKER)], 7),
    ("SIGTERM, one had to be killed", [TERM, exited(WEB), DUE, died(WORKER, 9)], 1),
    ("SIGINT, one had to be killed", [INT, exited(WEB), DUE, died(WORKER, 9)], 1),
    ("failed, one had to be killed", [exited(WEB, 7), DUE, died(WORKER, 9)], 1),
    ("it ended while it was being killed", [TERM, exited(WEB), DUE, exited(WORKER)], 1),
    ("second SIGTERM", [TERM, TERM, died(WEB, 9), died(WORKER, 9)], 143),
    ("second SIGINT", [INT, INT, died(WEB, 9), died(WORKER, 9)], 130),
    ("SIGINT, then SIGTERM", [INT, TERM, died(WEB, 9), died(WORKER, 9)], 143),
    ("SIGTERM, then SIGQUIT", [TERM, QUIT, died(WEB, 9), died(WORKER, 9)], 131),
    ("failed, then two signals", [exited(WEB, 7), TERM, INT, died(WORKER, 9)], 130),
    ("killed, then a second signal", [TERM, exited(WEB), DUE, INT, died(WORKER, 9)], 1),
    ("stdout is gone", [OutputGone(), *BOTH], 141),
    ("stdout is gone, then SIGTERM", [OutputGone(), TERM, *BOTH], 141),
    ("stdout is gone while stopping", [TERM, OutputGone(), *BOTH], 0),
    ("stdout is gone, one had to be killed", [OutputGone(), DUE, *BOTH], 1),
    ("the preload failed", [BROKEN, *BOTH], 1),
    ("the preload failed, then SIGTERM", [BROKEN, TERM, *BOTH], 1),
    ("the preload failed while stopping", [TERM, BROKEN, *BOTH], 0),
    ("SIGHUP changes nothing", [Signalled(Signals.SIGHUP), TERM, *BOTH], 0),
]


@pytest.mark.parametrize(("history", "status"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS])
def test_the_exit_status(history: History, status: int) -> None:
    group = web_and_worker()
    last: list[Output] = []
    for event in history:
        assert group.exit_status is None
        last = tick(group, 30.0) if event is DUE else hear(group, 1.0, event)
    assert AllStopped not in map(type, last)

    hear(group, 40.0, GroupGone(WEB))
    last = hear(group, 41.0, GroupGone(WORKER))

    assert last[-1] == AllStopped(status, after=40.0)
    assert group.exit_status == status


FIRST, SECOND, AGAIN_ = life("p0.1"), life("p1.1"), life("p0.1", 2)
UNWELL = Notified(FIRST, watchdog=WatchdogMessage.TRIGGER)
AGAIN: dict[str, Any] = {"restart": ALWAYS, "backoff_initial": 0.0}
JOB: dict[str, Any] = {"oneshot": True}

MORE_ROWS: list[tuple[str, list[dict[str, Any]], History, int]] = [
    ("a oneshot failed", [JOB, {}], [exited(FIRST, 7), exited(SECOND)], 7),
    ("a oneshot was killed", [JOB, {}], [died(FIRST, 9), exited(SECOND)], 137),
    ("a oneshot finished, SIGTERM", [JOB, {}], [exited(FIRST), TERM, exited(SECOND)], 0),
    ("all oneshots finished", [JOB, JOB], [exited(SECOND), exited(FIRST)], 0),
    ("one of two oneshots failed", [JOB, JOB], [exited(SECOND), exited(FIRST, 7)], 7),
    ("the first of two oneshots failed", [JOB, JOB], [exited(SECOND, 7), exited(FIRST)], 7),
    (
        "a oneshot failed, the other had to be killed",
        [JOB, JOB],
        [exited(FIRST, 7), DUE, DUE, died(SECOND, 9)],
        1,
    ),
    (
        "a oneshot failed, the other was stopped in time",
        [JOB, JOB],
        [exited(FIRST, 7), DUE, died(SECOND, 15)],
        7,
    ),
    ("SIGTERM while a oneshot runs", [JOB, {}], [TERM, died(FIRST, 15), exited(SECOND)], 0),
    ("oneshots, SIGINT", [JOB, JOB], [INT, died(FIRST, 15), died(SECOND, 15)], 130),
    (
        "oneshots finished, what is left must not be killed",
        [JOB, JOB],
        [exited(SECOND), exited(FIRST), DUE],
        0,
    ),
    (
        "on-failure, ended with 0",
        [{"restart": ON_FAILURE}, {}],
        [exited(FIRST, 0), exited(SECOND)],
        1,
    ),
    (
        "start limit reached",
        [{**AGAIN, "start_burst": 1}, {}],
        [exited(FIRST, 7), exited(SECOND)],
        7,
    ),
    (
        "start limit reached by a signal",
        [{**AGAIN, "start_burst": 1}, {}],
        [died(FIRST, 11), exited(SECOND)],
        139,
    ),
    (
        "start limit reached with 0",
        [{**AGAIN, "start_burst": 1}, {}],
        [exited(FIRST, 0), exited(SECOND)],
        1,
    ),
    ("unhealthy for good", [{}, {}], [UNWELL, exited(FIRST, 7), exited(SECOND)], 7),
    (
        "unhealthy for good, stopped with 0",
        [{}, {}],
        [UNWELL, exited(FIRST), exited(SECOND)],
        1,
    ),
    (
        "unhealthy for good, and had to be killed",
        [{}, {}],
        [UNWELL, DUE, died(FIRST, 9), exited(SECOND)],
        1,
    ),
    (
        "unhealthy, had to be killed, restarted, SIGTERM",
        [AGAIN, {}],
        [UNWELL, DUE, died(FIRST, 9), GroupGone(FIRST), TERM, exited(AGAIN_), exited(SECOND)],
        0,
    ),
    (
        "unhealthy, had to be killed, SIGTERM before it was dead",
        [AGAIN, {}],
        [UNWELL, DUE, TERM, died(FIRST, 9), exited(SECOND)],
        1,
    ),
    (
        "unhealthy, had to be killed, start limit",
        [{**AGAIN, "start_burst": 1}, {}],
        [UNWELL, DUE, died(FIRST, 9), exited(SECOND)],
        1,
    ),
    (
        "restarted, SIGTERM",
        [AGAIN, {}],
        [exited(FIRST, 7), GroupGone(FIRST), TERM, exited(AGAIN_), exited(SECOND)],
        0,
    ),
    (
        "restarted, then another failed",
        [AGAIN, {}],
        [exited(FIRST, 7), GroupGone(FIRST), exited(SECOND, 8), exited(AGAIN_)],
        8,
    ),
    (
        "SIGTERM during a pause",
        [{"restart": ALWAYS}, {}],
        [exited(FIRST), TERM, exited(SECOND)],
        0,
    ),
]


@pytest.mark.parametrize(
    ("specs", "history", "status"), [row[1:] for row in MORE_ROWS], ids=[r[0] for r in MORE_ROWS]
)
def test_the_exit_status_with_oneshots_restarts_and_faults(
    specs: list[dict[str, Any]], history: History, status: int
) -> None:
    group = started(*(spec(f"p{number}.1", **more) for number, more in enumerate(specs)))
    now = 1.0
    for event in [*history, *map(GroupGone, (FIRST, SECOND, AGAIN_))]:
        # Skip it if the end of that life was in the history, or if there was no such life.
        gone = isinstance(event, GroupGone) and event.ref not in [
            one.ref for instance in group.instances.values() for one in instance.lives
        ]
        now += 0.01
        if gone:
            continue
        if event is DUE:
            now += 2.0
            settle(group, now, tick(group, now))
        else:
            take(group, now, event)
    tick(group, now + 0.1)

    assert group.exit_status == status


def test_killing_leftover_process_groups_is_not_a_failure() -> None:
    group = web_and_worker()
    for event in (TERM, *BOTH):
        hear(group, 1.0, event)

    assert len(kills(tick(group, 2.0))) == 2
    hear(group, 2.0, GroupGone(WEB))
    assert hear(group, 2.0, GroupGone(WORKER))[-1] == AllStopped(0, after=1.0)
