"""The group: starting, stopping, and the one number that says how it went."""

from __future__ import annotations

import itertools
from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM, Signals
from typing import Any, Union

import pytest

from django_prodserver.supervisor.model import (
    AllReady,
    AllStopped,
    Effect,
    Exited,
    ExitStatus,
    GroupGone,
    Happening,
    Kill,
    OutputGone,
    Ready,
    Signalled,
    SignalTaken,
    Spawn,
    Spec,
    State,
    StateChanged,
)
from django_prodserver.supervisor.supervisor import HANDLED, Supervisor

WEB, WORKER, BEAT = 101, 102, 103
STOPPING_EVERYTHING = "stopping everything"


def spec(name: str, **more: Any) -> Spec:
    return Spec(name, **{"stop_timeout": 25.0, **more})


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


TERM, INT, QUIT = Signalled(SIGTERM), Signalled(SIGINT), Signalled(SIGQUIT)

# ---- start ----


def test_instances_start_one_after_another() -> None:
    supervisor = Supervisor([spec("web.1", notifies=True), spec("worker.1", notifies=True)])

    assert supervisor.start(10.0) == [
        StateChanged("web.1", State.STOPPED, State.STARTING, lasted=10.0),
        Spawn("web.1"),
    ]
    assert supervisor.spawned(10.5, "web.1", WEB) == [
        StateChanged("worker.1", State.STOPPED, State.STARTING, lasted=10.5),
        Spawn("worker.1"),
    ]
    assert supervisor.spawned(11.0, "worker.1", WORKER) == []


def test_all_are_ready_once_each_has_said_so() -> None:
    supervisor = Supervisor(
        [spec("web.1", notifies=True), spec("beat.1"), spec("worker.1", notifies=True)], began=2.0
    )
    start(supervisor, now=3.0)

    assert supervisor.happened(4.0, Ready(103)) == [
        StateChanged("worker.1", State.STARTING, State.RUNNING, pid=103, after=1.0, lasted=1.0)
    ]
    assert supervisor.happened(5.0, Ready(101)) == [
        StateChanged("web.1", State.STARTING, State.RUNNING, pid=101, after=2.0, lasted=2.0),
        AllReady(3, after=3.0),
    ]
    assert supervisor.happened(6.0, Ready(101)) == []


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
        StateChanged(
            "worker.1",
            State.STARTING,
            State.FATAL,
            after=1.0,
            lasted=1.0,
            detail="no memory; stopping everything",
        ),
        StateChanged("web.1", State.RUNNING, State.STOPPING, pid=WEB, after=1.0, lasted=1.0),
        Kill(WEB, SIGTERM),
    ]
    assert supervisor.happened(2.0, exited(WEB)) != []
    assert supervisor.happened(2.0, GroupGone(WEB)) == [AllStopped(1, after=1.0)]
    assert supervisor.instances["beat.1"].state is State.STOPPED


def test_where_the_first_cannot_be_started_that_is_the_end() -> None:
    supervisor = Supervisor([spec("web.1"), spec("worker.1")])
    supervisor.start(0.0)

    assert supervisor.spawn_failed(0.0, "web.1", "no memory")[1:] == [AllStopped(1, after=0.0)]


# ---- stop ----


@pytest.mark.parametrize("signal", [SIGTERM, SIGINT, SIGQUIT], ids=lambda signal: signal.name)
def test_a_signal_stops_everything_at_once_each_by_its_own_stop_signal(signal: Signals) -> None:
    supervisor = web_and_worker()

    assert supervisor.happened(8.0, Signalled(signal)) == [
        SignalTaken(signal, STOPPING_EVERYTHING),
        StateChanged("web.1", State.RUNNING, State.STOPPING, pid=WEB, after=8.0, lasted=8.0),
        Kill(WEB, SIGTERM),
        StateChanged("worker.1", State.RUNNING, State.STOPPING, pid=WORKER, after=8.0, lasted=8.0),
        Kill(WORKER, SIGINT),
    ]
    assert supervisor.deadline == 33.0


def test_an_exit_stops_everything_else_and_says_so() -> None:
    supervisor = web_and_worker()

    assert supervisor.happened(8.0, exited(WORKER, 1)) == [
        StateChanged(
            "worker.1",
            State.RUNNING,
            State.EXITED,
            pid=WORKER,
            after=8.0,
            lasted=8.0,
            status=ExitStatus(code=1),
            detail=STOPPING_EVERYTHING,
        ),
        StateChanged("web.1", State.RUNNING, State.STOPPING, pid=WEB, after=8.0, lasted=8.0),
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


@pytest.mark.parametrize("again", [exited(WORKER), OutputGone(), Ready(WEB)], ids=str)
def test_nobody_gets_the_stop_signal_twice(again: Happening) -> None:
    supervisor = web_and_worker()
    supervisor.happened(1.0, TERM)

    assert kills(supervisor.happened(2.0, again)) == []


def test_several_that_end_at_the_same_moment_are_one_reason_to_stop() -> None:
    supervisor = web_and_worker()

    assert kills(supervisor.happened(1.0, exited(WEB, 3))) == [Kill(WORKER, SIGINT)]
    # It was dead when it was asked, but that comes to be known only now.
    assert supervisor.happened(1.0, exited(WORKER, 4)) == [
        StateChanged(
            "worker.1",
            State.STOPPING,
            State.EXITED,
            pid=WORKER,
            after=1.0,
            lasted=0.0,
            status=ExitStatus(code=4),
        )
    ]
    supervisor.happened(1.0, GroupGone(WEB))
    assert supervisor.happened(1.0, GroupGone(WORKER)) == [AllStopped(3, after=0.0)]


def test_a_stubborn_child_is_killed_with_its_group_at_its_own_deadline() -> None:
    supervisor = started(spec("web.1", stop_timeout=10.0), spec("worker.1", stop_timeout=20.0))
    supervisor.happened(5.0, TERM)

    assert supervisor.tick(14.9) == []
    assert supervisor.deadline == 15.0
    assert supervisor.tick(15.0) == [
        StateChanged(
            "web.1",
            State.STOPPING,
            State.KILLING,
            pid=WEB,
            after=15.0,
            lasted=10.0,
            detail="did not stop within 10 s",
        ),
        Kill(WEB, SIGKILL, group=True),
    ]
    assert supervisor.deadline == 25.0


def test_what_a_dead_leader_leaves_behind_is_swept_after_a_second() -> None:
    supervisor = web_and_worker()
    supervisor.happened(5.0, exited(WEB))
    supervisor.happened(5.2, exited(WORKER))
    supervisor.happened(5.2, GroupGone(WORKER))

    assert supervisor.deadline == 6.0
    assert supervisor.tick(6.0) == [Kill(WEB, SIGKILL, group=True)]
    assert supervisor.happened(6.1, GroupGone(WEB)) == [AllStopped(1, after=6.1 - 5.0)]


def test_it_is_not_over_while_somebody_is_left_in_a_group() -> None:
    supervisor = started(spec("web.1"))
    supervisor.happened(5.0, TERM)

    assert AllStopped not in map(type, supervisor.happened(5.1, exited(WEB)))
    assert supervisor.exit_status is None


def test_a_second_signal_kills_everything_and_what_is_left_of_it() -> None:
    supervisor = started(spec("web.1"), spec("worker.1"), spec("beat.1"))
    supervisor.happened(1.0, TERM)
    supervisor.happened(2.0, exited(WEB))
    supervisor.happened(2.0, exited(BEAT))
    supervisor.happened(2.0, GroupGone(BEAT))

    assert supervisor.happened(2.5, INT) == [
        SignalTaken(SIGINT, "killing everything"),
        Kill(WEB, SIGKILL, group=True),
        StateChanged("worker.1", State.STOPPING, State.KILLING, pid=WORKER, after=2.5, lasted=1.5),
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
    [TERM, INT, Signalled(Signals.SIGHUP), Signalled(Signals.SIGUSR1), OutputGone(), Ready(WEB)],
    ids=str,
)
def test_after_the_end_nothing_has_an_effect(late: Happening) -> None:
    supervisor = started(spec("web.1"))
    for happening in (TERM, exited(WEB), GroupGone(WEB)):
        supervisor.happened(1.0, happening)
    assert supervisor.exit_status == 0

    assert supervisor.happened(2.0, late) == []
    assert supervisor.tick(100.0) == []
    assert (supervisor.exit_status, supervisor.deadline) == (0, None)


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

History = list[Union[Happening, None]]
STOPPED = [exited(WEB), exited(WORKER)]

ROWS: list[tuple[str, History, int]] = [
    ("SIGTERM, everything stopped", [TERM, *STOPPED], 0),
    ("SIGQUIT, everything stopped", [QUIT, *STOPPED], 0),
    ("SIGINT, everything stopped", [INT, *STOPPED], 130),
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
    ("stdout is gone", [OutputGone(), *STOPPED], 141),
    ("stdout is gone, then SIGTERM", [OutputGone(), TERM, *STOPPED], 141),
    ("stdout is gone while stopping", [TERM, OutputGone(), *STOPPED], 0),
    ("stdout is gone, one had to be killed", [OutputGone(), DUE, *STOPPED], 1),
    ("SIGHUP changes nothing", [Signalled(Signals.SIGHUP), TERM, *STOPPED], 0),
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


def test_sweeping_what_is_left_behind_is_no_failure() -> None:
    supervisor = web_and_worker()
    for happening in (TERM, *STOPPED):
        supervisor.happened(1.0, happening)

    assert len(kills(supervisor.tick(2.0))) == 2
    supervisor.happened(2.0, GroupGone(WEB))
    assert supervisor.happened(2.0, GroupGone(WORKER)) == [AllStopped(0, after=1.0)]
