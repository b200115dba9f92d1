"""The group: starting in order, stopping in reverse, restarts, and the one number that says how it
went."""

from __future__ import annotations

import itertools
from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM, Signals
from typing import Any, Optional

import pytest

from django_prodserver.supervisor.model import (
    Alive,
    AllFinished,
    AllReady,
    AllStopped,
    CancelProbe,
    Effect,
    Exited,
    ExitStatus,
    GroupGone,
    Happening,
    HealthCheck,
    Kill,
    LastStep,
    Measure,
    Measured,
    Notified,
    OutputGone,
    Probe,
    Probed,
    Restart,
    Signalled,
    SignalTaken,
    Spawn,
    Spec,
    StartProbe,
    State,
    StateChanged,
    StatusTold,
    StillRunning,
    Stopping,
    Unwell,
    Watchdog,
)
from django_prodserver.supervisor.supervisor import HANDLED, Supervisor

WEB, WORKER, BEAT = 101, 102, 103
STOPPING_EVERYTHING = "stopping everything"


def spec(name: str, **more: Any) -> Spec:
    """With a stop timeout that is too short to be talked about, unless it matters."""
    more["after"] = frozenset(more.get("after", ()))
    return Spec(name, **{"stop_timeout": 1.0, **more})


def ready(pid: int) -> Notified:
    return Notified(pid, ready=True)


def moved(name: str, old: State, new: State, **more: Any) -> StateChanged:
    return StateChanged(name, old, new, **{"ready": old is not State.STARTING, **more})


def start(supervisor: Supervisor, now: float = 0.0) -> list[Effect]:
    """Start it and answer each `Spawn`, with the pids 101, 102, ..."""
    pids = itertools.count(101)
    effects = list(supervisor.start(now))
    for effect in effects:  # It grows meanwhile.
        if isinstance(effect, Spawn):
            effects += supervisor.spawned(now, effect.name, next(pids))
    return effects


def started(*specs: Spec) -> Supervisor:
    supervisor = Supervisor(specs)
    start(supervisor)
    return supervisor


def web_and_worker() -> Supervisor:
    return started(spec("web.1"), spec("worker.1", stop_signal=SIGINT))


def exited(pid: int, code: int = 0) -> Exited:
    return Exited(pid, ExitStatus(code=code))


def died(pid: int, signal: int) -> Exited:
    return Exited(pid, ExitStatus(signal=signal))


def kills(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, Kill)]


def spawns(effects: list[Effect]) -> list[str]:
    return [effect.name for effect in effects if isinstance(effect, Spawn)]


def states(supervisor: Supervisor) -> dict[str, State]:
    return {name: instance.state for name, instance in supervisor.instances.items()}


def die(supervisor: Supervisor, now: float, *happenings: Exited) -> list[Effect]:
    """Leaders end, and nobody is left in their groups; returns what came of the last."""
    effects: list[Effect] = []
    for happening in happenings:
        effects = supervisor.happened(now, happening)
        effects += supervisor.happened(now, GroupGone(happening.pid))
    return effects


TERM, INT, QUIT = Signalled(SIGTERM), Signalled(SIGINT), Signalled(SIGQUIT)
STARTING, RUNNING, STOPPING = State.STARTING, State.RUNNING, State.STOPPING
STOPPED, WAITING, EXITED, FATAL = State.STOPPED, State.WAITING, State.EXITED, State.FATAL
ON_FAILURE, ALWAYS = Restart.ON_FAILURE, Restart.ALWAYS

# ---- start ----


def test_instances_start_one_after_another() -> None:
    supervisor = Supervisor([spec("web.1", notifies=True), spec("worker.1", notifies=True)])

    assert supervisor.start(10.0) == [
        StateChanged("web.1", STOPPED, STARTING, lasted=10.0),
        Spawn("web.1"),
    ]
    assert supervisor.spawned(10.5, "web.1", WEB) == [
        StateChanged("worker.1", STOPPED, STARTING, lasted=10.5),
        Spawn("worker.1"),
    ]
    assert supervisor.spawned(11.0, "worker.1", WORKER) == []


def test_all_are_ready_once_each_has_said_so() -> None:
    supervisor = Supervisor(
        [spec("web.1", notifies=True), spec("beat.1"), spec("worker.1", notifies=True)], began=2.0
    )
    start(supervisor, now=3.0)

    assert supervisor.happened(4.0, ready(103)) == [
        moved("worker.1", STARTING, RUNNING, pid=103, after=1.0, lasted=1.0)
    ]
    assert supervisor.happened(5.0, ready(101)) == [
        moved("web.1", STARTING, RUNNING, pid=101, after=2.0, lasted=2.0),
        AllReady(3, after=3.0),
    ]
    assert supervisor.happened(6.0, ready(101)) == []


def test_what_does_not_notify_is_ready_as_soon_as_it_is_started() -> None:
    effects = start(Supervisor([spec("web.1"), spec("worker.1")]))

    assert [e for e in effects if isinstance(e, AllReady)] == [AllReady(2, after=0.0)]
    assert effects[-1] == AllReady(2, after=0.0)


def test_while_nothing_is_due_the_supervisor_sleeps_for_ever() -> None:
    assert web_and_worker().deadline is None


def test_a_process_that_cannot_be_started_stops_those_before_it_and_none_after_it_starts() -> None:
    supervisor = Supervisor([spec("web.1"), spec("worker.1"), spec("beat.1")])
    supervisor.start(0.0)
    supervisor.spawned(0.0, "web.1", WEB)

    effects = supervisor.spawn_failed(1.0, "worker.1", "no memory")

    assert effects == [
        moved(
            "worker.1",
            STARTING,
            FATAL,
            after=1.0,
            lasted=1.0,
            reason="no memory",
            consequence=STOPPING_EVERYTHING,
        ),
        Stopping(),
        moved("web.1", RUNNING, STOPPING, pid=WEB, after=1.0, lasted=1.0),
        Kill(WEB, SIGTERM),
    ]
    assert supervisor.happened(2.0, exited(WEB)) != []
    assert supervisor.happened(2.0, GroupGone(WEB)) == [AllStopped(1, after=1.0)]
    assert supervisor.instances["beat.1"].state is STOPPED


def test_where_the_first_cannot_be_started_that_is_the_end() -> None:
    supervisor = Supervisor([spec("web.1"), spec("worker.1")])
    supervisor.start(0.0)

    assert supervisor.spawn_failed(0.0, "web.1", "no memory")[1:] == [
        Stopping(),
        AllStopped(1, after=0.0),
    ]


# ---- order ----


def migrate_then_web() -> Supervisor:
    """`migrate.1` is 101; `web.1` is to be 102, `worker.1` 103."""
    supervisor = Supervisor(
        [
            spec("web.1", after={"migrate.1"}, notifies=True),
            spec("worker.1", after={"web.1"}),
            spec("migrate.1", oneshot=True),
        ]
    )
    start(supervisor)
    return supervisor


def test_what_comes_after_others_waits_for_them() -> None:
    supervisor = Supervisor(
        [spec("web.1", after={"migrate.1"}), spec("migrate.1", oneshot=True), spec("beat.1")]
    )

    assert start(supervisor, now=10.0) == [
        StateChanged("web.1", STOPPED, WAITING, after=10.0, lasted=10.0),
        StateChanged("migrate.1", STOPPED, STARTING, lasted=10.0),
        Spawn("migrate.1"),
        StateChanged("beat.1", STOPPED, STARTING, lasted=10.0),
        Spawn("beat.1"),
        moved("beat.1", STARTING, RUNNING, pid=102),
    ]


def test_a_dependent_starts_at_the_moment_a_oneshot_has_finished() -> None:
    supervisor = migrate_then_web()

    assert supervisor.happened(4.0, exited(101)) == [
        StateChanged(
            "migrate.1",
            STARTING,
            EXITED,
            pid=101,
            after=4.0,
            lasted=4.0,
            status=ExitStatus(code=0),
            expected=True,
        ),
        StateChanged("web.1", WAITING, STARTING, lasted=4.0),
        Spawn("web.1"),
    ]


def test_a_dependent_starts_at_the_moment_a_service_is_ready() -> None:
    supervisor = migrate_then_web()
    die(supervisor, 4.0, exited(101))
    assert supervisor.spawned(4.0, "web.1", 102) == []

    assert supervisor.happened(5.0, ready(102)) == [
        moved("web.1", STARTING, RUNNING, pid=102, after=1.0, lasted=1.0),
        StateChanged("worker.1", WAITING, STARTING, lasted=5.0),
        Spawn("worker.1"),
    ]
    # A oneshot that has finished counts as one that is ready.
    assert supervisor.spawned(5.0, "worker.1", 103) == [
        moved("worker.1", STARTING, RUNNING, pid=103),
        AllReady(3, after=5.0),
    ]


def test_what_waits_for_several_waits_for_all_of_them() -> None:
    supervisor = Supervisor(
        [
            spec("db.1", notifies=True),
            spec("db.2", notifies=True),
            spec("web.1", after={"db.1", "db.2"}),
        ]
    )
    start(supervisor)

    assert spawns(supervisor.happened(1.0, ready(102))) == []
    assert spawns(supervisor.happened(2.0, ready(101))) == ["web.1"]


def test_several_that_wait_for_the_same_start_one_after_another() -> None:
    supervisor = Supervisor(
        [
            spec("db.1", notifies=True),
            spec("web.1", after={"db.1"}),
            spec("worker.1", after={"db.1"}),
        ]
    )
    start(supervisor)

    assert spawns(supervisor.happened(1.0, ready(101))) == ["web.1"]
    assert spawns(supervisor.spawned(1.0, "web.1", 102)) == ["worker.1"]


def test_a_restart_of_what_others_came_after_leaves_them_alone() -> None:
    supervisor = started(
        spec("db.1", restart=ALWAYS, backoff_initial=0), spec("web.1", after={"db.1"})
    )

    assert spawns(die(supervisor, 5.0, exited(101, 1))) == ["db.1"]
    assert states(supervisor) == {"db.1": STARTING, "web.1": RUNNING}
    assert spawns(supervisor.spawned(5.0, "db.1", 103)) == []


def test_nobody_starts_while_what_they_come_after_pauses() -> None:
    supervisor = Supervisor(
        [
            spec("db.1", notifies=True, restart=ALWAYS, backoff_initial=2.0),
            spec("web.1", after={"db.1"}),
        ]
    )
    start(supervisor)
    die(supervisor, 5.0, exited(101, 1))

    assert spawns(supervisor.tick(6.0)) == []
    assert spawns(supervisor.tick(7.0)) == ["db.1"]
    assert spawns(supervisor.spawned(7.0, "db.1", 102)) == []
    assert spawns(supervisor.happened(8.0, ready(102))) == ["web.1"]


def test_a_failed_oneshot_stops_everything_before_a_dependent_started() -> None:
    supervisor = migrate_then_web()

    assert supervisor.happened(4.0, exited(101, 3)) == [
        StateChanged(
            "migrate.1",
            STARTING,
            EXITED,
            pid=101,
            after=4.0,
            lasted=4.0,
            status=ExitStatus(code=3),
            consequence=STOPPING_EVERYTHING,
        ),
        Stopping(),
        StateChanged("web.1", WAITING, STOPPED, after=4.0, lasted=4.0),
        StateChanged("worker.1", WAITING, STOPPED, after=4.0, lasted=4.0),
    ]
    assert supervisor.happened(4.0, GroupGone(101)) == [AllStopped(3, after=0.0)]


def test_who_waits_is_not_started_once_everything_stops() -> None:
    supervisor = migrate_then_web()
    supervisor.happened(1.0, TERM)

    # It finished all the same, which is no failure; but nobody starts any more.
    assert supervisor.happened(1.5, exited(101))[1:] == []
    assert supervisor.happened(1.5, GroupGone(101)) == [AllStopped(0, after=0.5)]
    assert states(supervisor) == {"web.1": STOPPED, "worker.1": STOPPED, "migrate.1": EXITED}


# ---- oneshots only ----


def test_oneshots_only_end_with_0_once_all_have_finished() -> None:
    supervisor = started(
        spec("migrate.1", oneshot=True), spec("static.1", oneshot=True, after={"migrate.1"})
    )
    assert spawns(die(supervisor, 1.0, exited(101))) == ["static.1"]
    supervisor.spawned(1.0, "static.1", 102)

    assert supervisor.happened(4.0, exited(102))[1:] == [AllFinished(2, after=4.0), Stopping()]
    assert supervisor.exit_status is None
    assert supervisor.happened(4.25, GroupGone(102)) == [AllStopped(0, after=0.25)]


def test_with_a_service_among_them_oneshots_end_nothing() -> None:
    supervisor = started(spec("migrate.1", oneshot=True), spec("web.1"))

    assert die(supervisor, 1.0, exited(101))[1:] == [AllReady(2, after=1.0)]
    assert supervisor.exit_status is None
    assert supervisor.deadline is None


def test_a_oneshot_that_fails_may_be_tried_again() -> None:
    supervisor = started(
        spec("migrate.1", oneshot=True, restart=ON_FAILURE, backoff_initial=0),
        spec("web.1", after={"migrate.1"}),
    )

    assert spawns(die(supervisor, 1.0, exited(101, 1))) == ["migrate.1"]
    supervisor.spawned(1.0, "migrate.1", 102)
    assert spawns(die(supervisor, 2.0, exited(102))) == ["web.1"]


# ---- stop ----


@pytest.mark.parametrize("signal", [SIGTERM, SIGINT, SIGQUIT], ids=lambda signal: signal.name)
def test_a_signal_stops_everything_at_once_each_by_its_own_stop_signal(signal: Signals) -> None:
    supervisor = web_and_worker()

    assert supervisor.happened(8.0, Signalled(signal)) == [
        SignalTaken(signal, STOPPING_EVERYTHING),
        Stopping(),
        moved("web.1", RUNNING, STOPPING, pid=WEB, after=8.0, lasted=8.0),
        Kill(WEB, SIGTERM),
        moved("worker.1", RUNNING, STOPPING, pid=WORKER, after=8.0, lasted=8.0),
        Kill(WORKER, SIGINT),
    ]
    assert supervisor.deadline == 9.0


def test_an_exit_stops_everything_else_and_says_so() -> None:
    supervisor = web_and_worker()

    assert supervisor.happened(8.0, exited(WORKER, 1)) == [
        moved(
            "worker.1",
            RUNNING,
            EXITED,
            pid=WORKER,
            after=8.0,
            lasted=8.0,
            status=ExitStatus(code=1),
            consequence=STOPPING_EVERYTHING,
        ),
        Stopping(),
        moved("web.1", RUNNING, STOPPING, pid=WEB, after=8.0, lasted=8.0),
        Kill(WEB, SIGTERM),
    ]


def test_what_is_not_ready_yet_is_stopped_like_the_rest() -> None:
    supervisor = started(spec("web.1", notifies=True))

    assert kills(supervisor.happened(1.0, TERM)) == [Kill(WEB, SIGTERM)]


def test_a_shell_is_stopped_with_its_group() -> None:
    supervisor = started(spec("sh.1", stop_group=True), spec("web.1"))

    assert kills(supervisor.happened(1.0, TERM)) == [
        Kill(101, SIGTERM, group=True),
        Kill(102, SIGTERM, group=False),
    ]


@pytest.mark.parametrize("again", [exited(WORKER), OutputGone(), ready(WEB)], ids=str)
def test_nobody_gets_the_stop_signal_twice(again: Happening) -> None:
    supervisor = web_and_worker()
    supervisor.happened(1.0, TERM)

    assert kills(supervisor.happened(2.0, again)) == []


def test_several_that_end_at_the_same_moment_are_one_reason_to_stop() -> None:
    supervisor = web_and_worker()

    assert kills(supervisor.happened(1.0, exited(WEB, 3))) == [Kill(WORKER, SIGINT)]
    # It was dead when it was asked, but that comes to be known only now.
    assert supervisor.happened(1.0, exited(WORKER, 4)) == [
        moved(
            "worker.1",
            STOPPING,
            EXITED,
            pid=WORKER,
            after=1.0,
            lasted=0.0,
            status=ExitStatus(code=4),
        )
    ]
    supervisor.happened(1.0, GroupGone(WEB))
    assert supervisor.happened(1.0, GroupGone(WORKER)) == [AllStopped(3, after=0.0)]


def test_a_stubborn_child_is_killed_with_its_group_at_its_own_deadline() -> None:
    supervisor = started(spec("web.1", stop_timeout=0.5), spec("worker.1", stop_timeout=1.0))
    supervisor.happened(5.0, TERM)

    assert supervisor.tick(5.4) == []
    assert supervisor.deadline == 5.5
    assert supervisor.tick(5.5) == [
        moved(
            "web.1",
            STOPPING,
            State.KILLING,
            pid=WEB,
            after=5.5,
            lasted=0.5,
            reason="did not stop within 0.5 s",
        ),
        Kill(WEB, SIGKILL, group=True),
    ]
    assert supervisor.deadline == 6.0


def test_what_a_dead_leader_leaves_behind_is_swept_after_a_second() -> None:
    supervisor = web_and_worker()
    supervisor.happened(5.0, exited(WEB))
    die(supervisor, 5.25, exited(WORKER))

    assert supervisor.deadline == 6.0
    assert supervisor.tick(6.0) == [Kill(WEB, SIGKILL, group=True)]
    assert supervisor.happened(6.25, GroupGone(WEB)) == [AllStopped(1, after=1.25)]


def test_it_is_not_over_while_somebody_is_left_in_a_group() -> None:
    supervisor = started(spec("web.1"))
    supervisor.happened(5.0, TERM)

    assert AllStopped not in map(type, supervisor.happened(5.1, exited(WEB)))
    assert supervisor.exit_status is None


def test_a_second_signal_kills_everything_and_what_is_left_of_it() -> None:
    supervisor = started(spec("web.1"), spec("worker.1"), spec("beat.1"))
    supervisor.happened(1.0, TERM)
    supervisor.happened(2.0, exited(WEB))
    die(supervisor, 2.0, exited(BEAT))

    assert supervisor.happened(2.5, INT) == [
        SignalTaken(SIGINT, "killing everything"),
        Kill(WEB, SIGKILL, group=True),
        moved("worker.1", STOPPING, State.KILLING, pid=WORKER, after=2.5, lasted=1.5),
        Kill(WORKER, SIGKILL, group=True),
    ]


def test_a_signal_while_a_failure_stops_everything_is_the_first_and_kills_nobody() -> None:
    supervisor = web_and_worker()
    supervisor.happened(1.0, exited(WEB, 3))

    assert supervisor.happened(2.0, INT) == [SignalTaken(SIGINT, STOPPING_EVERYTHING)]
    assert kills(supervisor.happened(3.0, INT)) == [
        Kill(WEB, SIGKILL, group=True),
        Kill(WORKER, SIGKILL, group=True),
    ]


@pytest.mark.parametrize(
    "late",
    [
        *(TERM, INT, Signalled(Signals.SIGHUP), Signalled(Signals.SIGUSR1), OutputGone()),
        *(ready(WEB), Notified(WEB, status="bye"), Probed(WEB, "refused"), Measured(WEB, 1)),
    ],
    ids=str,
)
def test_after_the_end_nothing_has_an_effect(late: Happening) -> None:
    supervisor = started(spec("web.1"))
    supervisor.happened(1.0, TERM)
    die(supervisor, 1.0, exited(WEB))
    assert supervisor.exit_status == 0

    assert supervisor.happened(2.0, late) == []
    assert supervisor.tick(100.0) == []
    assert (supervisor.exit_status, supervisor.deadline) == (0, None)


@pytest.mark.parametrize(
    "late", [ready(101), Notified(101, status="bye"), Probed(101, "refused"), Measured(101, 1)]
)
def test_what_is_said_of_somebody_who_is_gone_means_nothing(late: Happening) -> None:
    supervisor = started(spec("migrate.1", oneshot=True), spec("web.1"))
    die(supervisor, 1.0, exited(101))

    assert supervisor.happened(2.0, late) == []


# ---- stopping in reverse ----


def test_what_others_come_after_stops_once_they_have() -> None:
    supervisor = started(
        spec("db.1"),
        spec("web.1", after={"db.1"}),
        spec("worker.1", after={"db.1"}),
        spec("beat.1"),
    )

    assert kills(supervisor.happened(1.0, TERM)) == [
        Kill(102, SIGTERM),
        Kill(103, SIGTERM),
        Kill(104, SIGTERM),
    ]
    assert kills(die(supervisor, 2.0, exited(103))) == []
    # At the moment of the last one's death; what is left of its group has nothing to say.
    assert kills(supervisor.happened(3.0, exited(102))) == [Kill(101, SIGTERM)]
    assert supervisor.instances["db.1"].deadline == 4.0


def test_a_chain_stops_link_by_link_each_with_its_own_time() -> None:
    supervisor = started(
        spec("a.1"), spec("b.1", after={"a.1"}), spec("c.1", after={"b.1"}, stop_timeout=0.5)
    )

    assert kills(supervisor.happened(10.0, TERM)) == [Kill(103, SIGTERM)]
    assert kills(supervisor.tick(10.5)) == [Kill(103, SIGKILL, group=True)]
    assert kills(supervisor.happened(10.5, died(103, 9))) == [Kill(102, SIGTERM)]
    assert kills(supervisor.happened(11.0, exited(102))) == [Kill(101, SIGTERM)]


def test_who_comes_after_indirectly_counts_even_if_what_is_between_is_dead() -> None:
    supervisor = started(
        spec("a.1"), spec("b.1", after={"a.1"}, oneshot=True), spec("c.1", after={"b.1"})
    )
    assert spawns(die(supervisor, 1.0, exited(102))) == ["c.1"]
    supervisor.spawned(1.0, "c.1", 103)

    assert kills(supervisor.happened(2.0, TERM)) == [Kill(103, SIGTERM)]
    assert kills(supervisor.happened(3.0, exited(103))) == [Kill(101, SIGTERM)]


def test_who_waits_or_pauses_holds_nobody_up() -> None:
    supervisor = Supervisor(
        [
            spec("a.1"),
            spec("b.1", after={"a.1"}, notifies=True, restart=ALWAYS),
            spec("c.1", after={"b.1"}),
        ]
    )
    start(supervisor)
    die(supervisor, 1.0, exited(102, 1))
    assert states(supervisor) == {"a.1": RUNNING, "b.1": State.BACKOFF, "c.1": WAITING}

    assert supervisor.happened(1.25, TERM) == [
        SignalTaken(SIGTERM, STOPPING_EVERYTHING),
        Stopping(),
        StateChanged("b.1", State.BACKOFF, STOPPED, pid=102, after=1.25, lasted=0.25, restarts=1),
        StateChanged("c.1", WAITING, STOPPED, after=1.25, lasted=1.25),
        moved("a.1", RUNNING, STOPPING, pid=101, after=1.25, lasted=1.25),
        Kill(101, SIGTERM),
    ]


def test_a_second_signal_kills_also_who_was_to_be_asked_later() -> None:
    supervisor = started(spec("db.1"), spec("web.1", after={"db.1"}))
    supervisor.happened(1.0, TERM)

    assert kills(supervisor.happened(2.0, TERM)) == [
        Kill(101, SIGKILL, group=True),
        Kill(102, SIGKILL, group=True),
    ]


def test_who_was_to_be_asked_later_and_ends_before_holds_nobody_up() -> None:
    supervisor = started(spec("db.1"), spec("web.1", after={"db.1"}))
    supervisor.happened(1.0, TERM)

    assert kills(die(supervisor, 1.5, exited(101, 1))) == []
    assert die(supervisor, 1.75, exited(102))[-1] == AllStopped(0, after=0.75)


# ---- restarts ----


def test_a_service_is_started_anew_and_the_others_go_on() -> None:
    supervisor = started(
        spec("web.1"), spec("worker.1", restart=ON_FAILURE, notifies=True, backoff_initial=0.5)
    )
    supervisor.happened(1.0, ready(WORKER))

    assert supervisor.happened(8.0, Exited(WORKER, ExitStatus(code=1), jitter=1.0)) == [
        moved(
            "worker.1",
            RUNNING,
            EXITED,
            pid=WORKER,
            after=8.0,
            lasted=7.0,
            status=ExitStatus(code=1),
            consequence="restarting in 0.38 s",
        )
    ]
    assert supervisor.happened(8.0, GroupGone(WORKER)) == [
        moved("worker.1", EXITED, State.BACKOFF, pid=WORKER, after=8.0, restarts=1)
    ]
    assert supervisor.deadline == 8.375
    assert supervisor.tick(8.375) == [
        StateChanged("worker.1", State.BACKOFF, STARTING, lasted=0.375, restarts=1),
        Spawn("worker.1"),
    ]
    assert supervisor.spawned(8.375, "worker.1", 103) == []
    # That all are ready is said once.
    assert supervisor.happened(9.0, ready(103)) == [
        moved("worker.1", STARTING, RUNNING, pid=103, after=0.625, lasted=0.625, restarts=1)
    ]


def test_a_new_life_has_its_pid_to_itself() -> None:
    supervisor = started(spec("web.1", restart=ALWAYS, backoff_initial=0))
    die(supervisor, 1.0, exited(101, 1))
    supervisor.spawned(1.0, "web.1", 101)  # The operating system may give the same again.

    assert supervisor.instances["web.1"].pid == 101
    assert kills(supervisor.happened(2.0, TERM)) == [Kill(101, SIGTERM)]


def test_ending_with_0_is_no_failure_so_that_under_on_failure_it_stops_everything() -> None:
    supervisor = started(spec("web.1", restart=ON_FAILURE), spec("worker.1"))

    effects = supervisor.happened(1.0, exited(WEB, 0))

    assert kills(effects) == [Kill(WORKER, SIGTERM)]
    supervisor.happened(1.0, GroupGone(WEB))
    assert die(supervisor, 1.5, exited(WORKER))[-1] == AllStopped(1, after=0.5)


def test_the_start_limit_stops_everything_with_the_last_status() -> None:
    supervisor = started(spec("web.1"), spec("worker.1", restart=ALWAYS, start_burst=2))
    die(supervisor, 1.0, exited(WORKER, 4))
    supervisor.tick(1.5)
    supervisor.spawned(1.5, "worker.1", 103)

    assert supervisor.happened(2.0, exited(103, 5)) == [
        moved(
            "worker.1",
            RUNNING,
            EXITED,
            pid=103,
            after=0.5,
            lasted=0.5,
            restarts=1,
            status=ExitStatus(code=5),
        ),
        moved(
            "worker.1",
            EXITED,
            FATAL,
            pid=103,
            after=0.5,
            restarts=1,
            reason="2 starts in 60 s, its START_LIMIT",
            consequence=STOPPING_EVERYTHING,
        ),
        Stopping(),
        moved("web.1", RUNNING, STOPPING, pid=WEB, after=2.0, lasted=2.0),
        Kill(WEB, SIGTERM),
    ]
    die(supervisor, 2.5, exited(WEB))
    # The group of the one that failed for good is swept like any other.
    assert supervisor.tick(3.0) == [Kill(103, SIGKILL, group=True)]
    assert supervisor.happened(3.0, GroupGone(103)) == [AllStopped(5, after=1.0)]


def test_a_restart_that_the_operating_system_refuses_stops_everything() -> None:
    supervisor = started(spec("web.1", restart=ALWAYS, backoff_initial=0), spec("worker.1"))
    die(supervisor, 1.0, exited(WEB, 4))

    assert kills(supervisor.spawn_failed(1.0, "web.1", "no memory")) == [Kill(WORKER, SIGTERM)]
    assert die(supervisor, 1.5, exited(WORKER))[-1] == AllStopped(1, after=0.5)


def test_two_restarts_that_are_refused_at_once_leave_nobody_unasked() -> None:
    supervisor = started(
        spec("db.1"),
        spec("web.1", restart=ALWAYS),
        spec("worker.1", restart=ALWAYS, after={"db.1"}),
    )
    die(supervisor, 1.0, exited(102, 1), exited(103, 1))
    assert spawns(supervisor.tick(1.5)) == ["web.1", "worker.1"]

    # The other is about to be forked: it counts as alive.
    assert kills(supervisor.spawn_failed(1.5, "web.1", "no memory")) == []
    assert kills(supervisor.spawn_failed(1.5, "worker.1", "no memory")) == [Kill(101, SIGTERM)]


def test_what_is_being_forked_when_everything_stops_is_asked_as_soon_as_it_has_a_pid() -> None:
    supervisor = started(spec("web.1", restart=ALWAYS), spec("worker.1", restart=ALWAYS))
    die(supervisor, 1.0, exited(101, 1), exited(102, 1))
    assert spawns(supervisor.tick(1.5)) == ["web.1", "worker.1"]
    supervisor.spawn_failed(1.5, "web.1", "no memory")

    assert kills(supervisor.spawned(1.5, "worker.1", 103)) == [Kill(103, SIGTERM)]


def test_recycling_is_no_failure() -> None:
    supervisor = started(spec("worker.1", restart=ON_FAILURE, recycles=True, start_burst=1))

    effects = supervisor.happened(5.0, exited(101, 0))
    assert [e.consequence for e in effects if isinstance(e, StateChanged)] == ["restarting"]
    # It was ready, and no pause is needed: the end of its group is all that is waited for.
    assert supervisor.deadline == 5.0
    assert kills(supervisor.tick(5.0)) == [Kill(101, SIGKILL, group=True)]
    assert spawns(supervisor.happened(5.0, GroupGone(101))) == ["worker.1"]


# ---- what is wrong with one of them ----

CHECK = HealthCheck(interval=10.0, timeout=3.0, retries=1)


def faulty(**more: Any) -> Supervisor:
    """`web.1` (101) became ready at 2; `beat.1` (102) has nothing to do with it."""
    supervisor = started(spec("web.1", notifies=True, **more), spec("beat.1"))
    supervisor.happened(2.0, ready(101))
    return supervisor


def not_ready(**more: Any) -> tuple[Supervisor, list[Effect]]:
    supervisor = started(spec("web.1", notifies=True, ready_timeout=60.0, **more), spec("beat.1"))
    return supervisor, supervisor.tick(60.0)


def unhealthy(**more: Any) -> tuple[Supervisor, list[Effect]]:
    supervisor = faulty(healthcheck=CHECK, **more)
    assert supervisor.tick(12.0) == [StartProbe(101, Probe.HEALTH)]
    return supervisor, supervisor.happened(12.5, Probed(101, "status 500"))


def unanswered(**more: Any) -> tuple[Supervisor, list[Effect]]:
    supervisor = faulty(healthcheck=CHECK, **more)
    supervisor.tick(12.0)
    cancel, *effects = supervisor.tick(15.0)
    assert cancel == CancelProbe(101)
    return supervisor, effects


def silent(**more: Any) -> tuple[Supervisor, list[Effect]]:
    supervisor = faulty(watchdog=30.0, **more)
    supervisor.happened(10.0, Notified(101, watchdog=Watchdog.PING))
    assert supervisor.deadline == 40.0
    return supervisor, supervisor.tick(40.0)


def triggered(**more: Any) -> tuple[Supervisor, list[Effect]]:
    supervisor = faulty(**more)
    return supervisor, supervisor.happened(10.0, Notified(101, watchdog=Watchdog.TRIGGER))


def too_big(**more: Any) -> tuple[Supervisor, list[Effect]]:
    supervisor = faulty(max_memory=512_000_000, **more)
    assert supervisor.tick(10.0) == [Measure(101)]
    assert supervisor.happened(10.0, Measured(101, 512_000_000)) == []
    return supervisor, supervisor.happened(20.0, Measured(101, 530_400_000))


FAULTS = [
    (not_ready, "was not ready within 60 s"),
    (unhealthy, "is unhealthy: status 500"),
    (unanswered, "is unhealthy: no answer within 3 s"),
    (silent, "is unhealthy: no WATCHDOG=1 for 30 s"),
    (triggered, "is unhealthy: it said WATCHDOG=trigger"),
    (too_big, "uses 530 MB, its MAX_MEMORY is 512 MB"),
]
each_fault = pytest.mark.parametrize(
    ("fault", "reason"), FAULTS, ids=lambda value: getattr(value, "__name__", "")
)


@each_fault
def test_who_is_faulty_is_asked_to_stop_alone(fault: Any, reason: str) -> None:
    supervisor, effects = fault()

    (change, kill) = effects
    assert (change.name, change.new, change.reason) == ("web.1", STOPPING, reason)
    assert kill == Kill(101, SIGTERM)
    assert supervisor.instances["beat.1"].state is RUNNING


@each_fault
def test_who_is_faulty_is_started_anew_however_it_stopped(fault: Any, reason: str) -> None:
    supervisor, _ = fault(restart=ON_FAILURE, backoff_initial=0)

    assert spawns(die(supervisor, 60.5, exited(101, 0))) == ["web.1"]


@each_fault
@pytest.mark.parametrize(
    ("end", "status"), [(exited(101, 0), 1), (exited(101, 3), 3), (died(101, 15), 143)], ids=str
)
def test_who_is_faulty_for_good_stops_everything(
    fault: Any, reason: str, end: Exited, status: int
) -> None:
    supervisor, _ = fault()

    assert kills(die(supervisor, 60.5, end)) == [Kill(102, SIGTERM)]
    assert die(supervisor, 61.0, exited(102))[-1] == AllStopped(status, after=0.5)


@each_fault
def test_who_is_faulty_while_everything_stops_has_its_own_time(fault: Any, reason: str) -> None:
    supervisor, _ = fault()
    deadline = supervisor.deadline

    assert kills(supervisor.happened(60.5, TERM)) == [Kill(102, SIGTERM)]
    assert supervisor.instances["web.1"].deadline == deadline
    die(supervisor, 60.75, exited(101, 0))
    assert die(supervisor, 61.0, exited(102))[-1] == AllStopped(0, after=0.5)


def test_a_failed_probe_is_told_before_it_is_one_too_many() -> None:
    supervisor = faulty(healthcheck=HealthCheck(retries=3))
    supervisor.tick(12.0)

    assert supervisor.happened(12.5, Probed(101, "refused")) == [Unwell("web.1", "refused", 1, 3)]


def test_what_an_instance_says_about_itself_is_told() -> None:
    supervisor = faulty()

    assert supervisor.happened(3.0, Notified(101, status="4 tasks")) == [
        StatusTold("web.1", "4 tasks")
    ]


# ---- a stop that takes its time ----


def slow(**more: Any) -> Supervisor:
    supervisor = started(
        spec("web.1", stop_timeout=25.0, **more),
        spec("quick.1"),
        spec("worker.1", stop_timeout=20.0, last_signal=SIGQUIT),
    )
    supervisor.happened(10.0, TERM)
    die(supervisor, 10.5, exited(102))
    return supervisor


def until_killed(supervisor: Supervisor) -> list[tuple[float, Effect]]:
    happened = []
    while supervisor.deadline is not None:
        now = supervisor.deadline
        happened += [(now, e) for e in supervisor.tick(now) if not isinstance(e, StateChanged)]
    return happened


def test_who_is_still_running_is_told_in_one_line_at_first_and_at_half_time() -> None:
    assert until_killed(slow()) == [
        (11.0, StillRunning(("web.1", "worker.1"), 24.0)),
        (20.0, StillRunning(("worker.1",), 10.0)),
        (22.5, StillRunning(("web.1",), 12.5)),
        (24.0, LastStep("worker.1", SIGQUIT)),
        (24.0, Kill(103, SIGQUIT)),
        (30.0, Kill(103, SIGKILL, group=True)),
        (35.0, Kill(101, SIGKILL, group=True)),
    ]


def test_who_stops_after_the_second_step_was_not_too_late() -> None:
    supervisor = slow()
    die(supervisor, 11.0, exited(101))
    supervisor.tick(24.0)

    assert die(supervisor, 24.5, exited(103))[-1] == AllStopped(0, after=14.5)


def test_a_notice_comes_after_what_is_done_at_the_same_moment() -> None:
    supervisor = started(
        spec("web.1", stop_timeout=25.0), spec("worker.1", stop_timeout=1.0), spec("beat.1")
    )
    supervisor.happened(10.0, TERM)

    effects = supervisor.tick(11.0)

    assert [type(effect) for effect in effects] == [
        *(StateChanged, Kill, StateChanged, Kill, StillRunning)
    ]
    assert effects[-1] == StillRunning(("web.1",), 24.0)


# ---- who watches the supervisor ----


def test_it_says_that_it_is_alive_at_once_and_then_twice_as_often_as_it_has_to() -> None:
    supervisor = Supervisor([spec("web.1")], watchdog=30.0)
    start(supervisor, now=10.0)

    assert supervisor.deadline == 10.0
    assert supervisor.tick(10.0) == [Alive()]
    assert supervisor.deadline == 25.0
    assert supervisor.tick(24.0) == []
    assert supervisor.tick(25.5) == [Alive()]
    assert supervisor.deadline == 40.5


def test_it_is_alive_while_it_stops_and_not_afterwards() -> None:
    supervisor = Supervisor([spec("web.1", stop_timeout=0.75)], watchdog=0.5)
    start(supervisor)
    supervisor.tick(0.0)
    supervisor.happened(0.125, TERM)

    assert supervisor.tick(0.25) == [Alive()]
    assert supervisor.tick(0.5) == [Alive()]
    die(supervisor, 0.5, exited(101))
    assert supervisor.deadline is None
    assert supervisor.tick(10.0) == []


# ---- other signals ----


@pytest.mark.parametrize("signal", [Signals.SIGUSR1, Signals.SIGUSR2], ids=lambda s: s.name)
def test_a_user_signal_goes_to_those_who_declare_it(signal: Signals) -> None:
    supervisor = started(
        spec("web.1", forwards={signal}),
        spec("worker.1"),
        spec("slow.1", forwards={signal}, notifies=True),
        spec("beat.1", forwards={signal}),
    )

    # Not to the slow one: before it is ready, it may have no handler yet.
    assert supervisor.happened(1.0, Signalled(signal)) == [
        SignalTaken(signal, "passed on"),
        Kill(101, signal),
        Kill(104, signal),
    ]


def test_a_user_signal_that_means_nothing_to_anybody_is_ignored() -> None:
    supervisor = started(spec("web.1", forwards={Signals.SIGUSR2}))

    assert supervisor.happened(1.0, Signalled(Signals.SIGUSR1)) == [
        SignalTaken(Signals.SIGUSR1, "ignored")
    ]


def test_a_user_signal_is_not_passed_on_to_who_is_stopping() -> None:
    supervisor = started(spec("web.1", forwards={Signals.SIGUSR1}))
    supervisor.happened(1.0, TERM)

    assert kills(supervisor.happened(2.0, Signalled(Signals.SIGUSR1))) == []


def test_a_hangup_is_ignored_with_one_line() -> None:
    supervisor = web_and_worker()

    assert supervisor.happened(1.0, Signalled(Signals.SIGHUP)) == [
        SignalTaken(Signals.SIGHUP, "ignored")
    ]
    assert supervisor.happened(2.0, TERM)[0] == SignalTaken(SIGTERM, STOPPING_EVERYTHING)


def test_these_signals_are_handled() -> None:
    assert {signal.name for signal in HANDLED} == {
        *("SIGTERM", "SIGINT", "SIGQUIT"),
        *("SIGUSR1", "SIGUSR2", "SIGHUP"),
    }


# ---- the exit status, row by row as in the design ----

DUE = None
"""In a history: the deadline of whoever is to be stopped passes."""

History = list[Optional[Happening]]
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
    ("SIGKILL from outside", [died(WEB, 9), exited(WORKER)], 137),
    ("a service ended with 0, unasked", [exited(WEB, 0), exited(WORKER)], 1),
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
    ("SIGHUP changes nothing", [Signalled(Signals.SIGHUP), TERM, *BOTH], 0),
]


@pytest.mark.parametrize(("history", "status"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS])
def test_the_exit_status(history: History, status: int) -> None:
    supervisor = web_and_worker()
    last: list[Effect] = []
    for happening in history:
        assert supervisor.exit_status is None
        last = supervisor.tick(30.0) if happening is DUE else supervisor.happened(1.0, happening)
    assert AllStopped not in map(type, last)

    supervisor.happened(40.0, GroupGone(WEB))
    last = supervisor.happened(41.0, GroupGone(WORKER))

    assert last == [AllStopped(status, after=40.0)]
    assert supervisor.exit_status == status


NEW_PID = 103
UNWELL = Notified(WEB, watchdog=Watchdog.TRIGGER)
AGAIN: dict[str, Any] = {"restart": ALWAYS, "backoff_initial": 0.0}
JOB: dict[str, Any] = {"oneshot": True}

# The first is `WEB`, the second `WORKER`, and what is started later 103 and so on.
MORE_ROWS: list[tuple[str, list[dict[str, Any]], History, int]] = [
    ("a oneshot failed", [JOB, {}], [exited(WEB, 7), exited(WORKER)], 7),
    ("a oneshot was killed", [JOB, {}], [died(WEB, 9), exited(WORKER)], 137),
    ("a oneshot finished, SIGTERM", [JOB, {}], [exited(WEB), TERM, exited(WORKER)], 0),
    ("all oneshots finished", [JOB, JOB], [exited(WORKER), exited(WEB)], 0),
    ("one of two oneshots failed", [JOB, JOB], [exited(WORKER), exited(WEB, 7)], 7),
    ("the first of two oneshots failed", [JOB, JOB], [exited(WORKER, 7), exited(WEB)], 7),
    ("SIGTERM while a oneshot runs", [JOB, {}], [TERM, died(WEB, 15), exited(WORKER)], 0),
    ("oneshots, SIGINT", [JOB, JOB], [INT, died(WEB, 15), died(WORKER, 15)], 130),
    (
        "oneshots finished, who is left must not be killed",
        [JOB, JOB],
        [exited(WORKER), exited(WEB), DUE],
        0,
    ),
    (
        "on-failure, ended with 0",
        [{"restart": ON_FAILURE}, {}],
        [exited(WEB, 0), exited(WORKER)],
        1,
    ),
    (
        "start limit reached",
        [{**AGAIN, "start_burst": 1}, {}],
        [exited(WEB, 7), exited(WORKER)],
        7,
    ),
    (
        "start limit reached by a signal",
        [{**AGAIN, "start_burst": 1}, {}],
        [died(WEB, 11), exited(WORKER)],
        139,
    ),
    (
        "start limit reached with 0",
        [{**AGAIN, "start_burst": 1}, {}],
        [exited(WEB, 0), exited(WORKER)],
        1,
    ),
    ("unhealthy for good", [{}, {}], [UNWELL, exited(WEB, 7), exited(WORKER)], 7),
    ("unhealthy for good, stopped with 0", [{}, {}], [UNWELL, *BOTH], 1),
    (
        "unhealthy for good, and had to be killed",
        [{}, {}],
        [UNWELL, DUE, died(WEB, 9), exited(WORKER)],
        1,
    ),
    (
        "unhealthy, had to be killed, started anew, SIGTERM",
        [AGAIN, {}],
        [UNWELL, DUE, died(WEB, 9), GONE[0], TERM, exited(NEW_PID), exited(WORKER)],
        0,
    ),
    (
        "unhealthy, had to be killed, SIGTERM before it was dead",
        [AGAIN, {}],
        [UNWELL, DUE, TERM, died(WEB, 9), exited(WORKER)],
        1,
    ),
    (
        "unhealthy, had to be killed, start limit",
        [{**AGAIN, "start_burst": 1}, {}],
        [UNWELL, DUE, died(WEB, 9), exited(WORKER)],
        1,
    ),
    (
        "restarted, SIGTERM",
        [AGAIN, {}],
        [exited(WEB, 7), GONE[0], TERM, exited(NEW_PID), exited(WORKER)],
        0,
    ),
    (
        "restarted, then another failed",
        [AGAIN, {}],
        [exited(WEB, 7), GONE[0], exited(WORKER, 8), exited(NEW_PID)],
        8,
    ),
    ("SIGTERM during a pause", [{"restart": ALWAYS}, {}], [exited(WEB), TERM, exited(WORKER)], 0),
]


@pytest.mark.parametrize(
    ("specs", "history", "status"), [row[1:] for row in MORE_ROWS], ids=[r[0] for r in MORE_ROWS]
)
def test_the_exit_status_of_other_processes(
    specs: list[dict[str, Any]], history: History, status: int
) -> None:
    supervisor = Supervisor([spec(f"p{i}.1", **more) for i, more in enumerate(specs)])
    start(supervisor)
    pids = itertools.count(NEW_PID)
    now = 1.0
    for happening in [*history, *GONE, GroupGone(NEW_PID)]:
        now += 0.01
        if happening is DUE:
            now += 2.0
            effects = supervisor.tick(now)
        else:
            effects = supervisor.happened(now, happening)
        for name in spawns(effects):
            supervisor.spawned(now, name, next(pids))

    assert supervisor.exit_status == status


def test_sweeping_what_is_left_behind_is_no_failure() -> None:
    supervisor = web_and_worker()
    for happening in (TERM, *BOTH):
        supervisor.happened(1.0, happening)

    assert len(kills(supervisor.tick(2.0))) == 2
    supervisor.happened(2.0, GroupGone(WEB))
    assert supervisor.happened(2.0, GroupGone(WORKER)) == [AllStopped(0, after=1.0)]
