"""Whole runs, from the first line to the last. A fixed bug leaves a history here."""

from __future__ import annotations

from dataclasses import replace
from signal import SIGINT, SIGQUIT, SIGTERM, SIGUSR1
from typing import Any

import pytest

from django_prodserver.supervisor.events import (
    ExitStatus,
    GoalRequest,
    Notified,
    RestartRequest,
    ScaleRequest,
    WatchdogMessage,
)
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.pump import run
from django_prodserver.supervisor.spec import CheckSchedule, Goal, Ref, RestartPolicy, Spec

from .world import NOBODY, Behaviour, Child, Member, World


def child(name: str, stop_signal: Any = SIGTERM, **more: Any) -> Child:
    known = {key: more.pop(key) for key in list(more) if key in Spec._fields}
    behaviours = more.pop("behaviours", None) or (Behaviour(**more),)
    return Child(Spec(name, stop_signal=stop_signal, **known), behaviours)


def told(*children: Child, notifications: bool = False, **more: Any) -> list[str]:
    """Run these children; return every action and message, with its time."""
    world = World(children, **more)
    run(Group([child.spec for child in children]), world, world.observers)
    return [
        f"{time:g} {what}"
        for time, what in world.trace
        if notifications or not what.startswith("tell ")
    ]


def test_a_worker_fails_and_everything_stops() -> None:
    web = child("web.1", notifies=True, ready_after=0.5)
    failed = ExitStatus(code=1)
    worker = child("worker.1", notifies=True, ready_after=1.0, exits_after=126.0, status=failed)

    assert told(web, worker, signals=[(600.0, SIGTERM)]) == [
        "0 spawn web.1 101",
        "0 spawn worker.1 102",
        "0.5 say web.1 ready after 0.50 s (pid 101)",
        "1 say worker.1 ready after 1.00 s (pid 102)",
        "1 say all 2 ready after 1.00 s",
        "126 say worker.1 exited with status 1 after 126 s; stopping everything",
        "126 kill 101 SIGTERM",
        "126 say web.1 stopped after 0.00 s",
        "126 say all stopped after 0.00 s; exit status 1",
    ]


def test_ctrl_c_stops_everything_and_exits_with_130() -> None:
    web = child("web.1", stops_after=0.75)
    worker = child("worker.1", SIGINT, stops_after=2.0, stop_status=ExitStatus(signal=2))

    assert told(web, worker, signals=[(60.0, SIGINT)]) == [
        "0 spawn web.1 101",
        "0 say web.1 started (pid 101)",
        "0 spawn worker.1 102",
        "0 say worker.1 started (pid 102)",
        "0 say all 2 ready after 0.00 s",
        "60 say SIGINT received; stopping everything",
        "60 kill 101 SIGTERM",
        "60 kill 102 SIGINT",
        "60.75 say web.1 stopped after 0.75 s",
        "61 say waiting for worker.1; SIGKILL in 24.0 s",
        "62 say worker.1 stopped after 2.00 s",
        "62 say all stopped after 2.00 s; exit status 130",
    ]


@pytest.mark.parametrize(("signal", "status"), [(SIGTERM, 0), (SIGINT, 130)])
def test_a_signal_that_ends_a_process_before_the_supervisor_is_no_failure(
    signal: Any, status: int
) -> None:
    web = child("web.1", exits_after=60.0, status=ExitStatus(signal=15))
    worker = child("worker.1", stops_after=2.0)

    assert told(web, worker, signals=[(60.125, signal)])[5:] == [
        "60 say web.1 was killed by SIGTERM after 60.0 s; stopping everything",
        "60 kill 102 SIGTERM",
        f"60.125 say {signal.name} received; stopping everything",
        "61 say waiting for worker.1; SIGKILL in 24.0 s",
        "62 say worker.1 stopped after 2.00 s",
        f"62 say all stopped after 2.00 s; exit status {status}",
    ]


def test_a_stubborn_process_and_its_children_are_killed() -> None:
    stubborn = child("web.1", stop_timeout=25.0, stops_after=None, members=(Member(), Member()))

    assert told(stubborn, signals=[(10.0, SIGTERM)])[3:] == [
        "10 say SIGTERM received; stopping everything",
        "10 kill 101 SIGTERM",
        "11 say waiting for web.1; SIGKILL in 24.0 s",
        "22.5 say waiting for web.1; SIGKILL in 12.5 s",
        "35 say web.1 did not stop within 25 s; killing it and its process group",
        "35 killpg 101 SIGKILL",
        "35.25 say web.1 killed",
        "35.25 say all stopped after 25.2 s; exit status 1",
    ]


def test_a_second_signal_kills_everything_at_once() -> None:
    web = child("web.1", stops_after=20.0, stop_timeout=30.0)
    left_behind = child("worker.1", stops_after=0.0, members=(Member(),))

    assert told(web, left_behind, signals=[(10.0, SIGINT), (10.5, SIGINT)])[5:] == [
        "10 say SIGINT received; stopping everything",
        "10 kill 101 SIGTERM",
        "10 kill 102 SIGTERM",
        "10 say worker.1 stopped after 0.00 s",
        "10.5 say SIGINT received; killing everything",
        "10.5 killpg 101 SIGKILL",
        "10.5 killpg 102 SIGKILL",
        "10.75 say web.1 killed",
        "10.75 say all stopped after 0.75 s; exit status 130",
    ]


@pytest.mark.parametrize("adopts", [True, False])
def test_a_process_group_is_killed_one_second_after_its_leader_exits(adopts: bool) -> None:
    web = child("web.1", members=(Member(),))
    # If another process reaps orphans, only a signal that finds none shows that they are gone.
    end = [
        "11 killpg 101 SIGKILL",
        "11.25 say all stopped after 1.25 s; exit status 0",
    ]
    if not adopts:
        end = [
            "11 killpg 101 SIGKILL",
            "12 killpg 101 SIGKILL",
            "12 say all stopped after 2.00 s; exit status 0",
        ]

    assert told(web, signals=[(10.0, SIGTERM)], adopts=adopts)[3:] == [
        "10 say SIGTERM received; stopping everything",
        "10 kill 101 SIGTERM",
        "10 say web.1 stopped after 0.00 s",
        *end,
    ]


def test_a_process_group_may_end_by_itself_after_its_leader_exits() -> None:
    web = child("web.1", members=(Member(ends_after=10.5),))

    assert told(web, signals=[(10.0, SIGTERM)])[3:] == [
        "10 say SIGTERM received; stopping everything",
        "10 kill 101 SIGTERM",
        "10 say web.1 stopped after 0.00 s",
        "10.5 say all stopped after 0.50 s; exit status 0",
    ]


def test_a_stop_signal_to_the_group_also_stops_the_children_of_a_shell() -> None:
    shell = child("sh.1", stop_group=True, members=(Member(heeds_stop_signal=True),))

    assert told(shell, signals=[(10.0, SIGTERM)])[3:] == [
        "10 say SIGTERM received; stopping everything",
        "10 killpg 101 SIGTERM",
        "10 say sh.1 stopped after 0.00 s",
        "10 say all stopped after 0.00 s; exit status 0",
    ]


def test_a_process_that_cannot_be_started_stops_everything() -> None:
    web, worker, beat = child("web.1"), child("worker.1", cannot_start="no pids"), child("beat.1")

    assert told(web, worker, beat) == [
        "0 spawn web.1 101",
        "0 say web.1 started (pid 101)",
        "0 spawn worker.1: no pids",
        "0 say worker.1 could not be started: no pids; stopping everything",
        "0 kill 101 SIGTERM",
        "0 say web.1 stopped after 0.00 s",
        "0 say all stopped after 0.00 s; exit status 1",
    ]


def test_a_process_killed_from_outside_stops_everything_with_status_137() -> None:
    killed = child("web.1", exits_after=8.0, status=ExitStatus(signal=9))

    ended = "web.1 was killed by SIGKILL (not sent by prodserver) after 8.00 s"
    assert told(killed)[-2:] == [
        f"8 say {ended}; stopping everything",
        "8 say all stopped after 0.00 s; exit status 137",
    ]


def test_sigterm_must_follow_soon_after_it_killed_all_processes_to_exit_with_0() -> None:
    # Neither of them handles SIGTERM.
    children = [child(name, stop_signal=SIGINT) for name in ("web.1", "worker.1")]

    assert told(*children, platform=[(5.0, 0.0625)])[5:] == [
        "5 say web.1 was killed by SIGTERM after 5.00 s; stopping everything",
        "5 kill 102 SIGINT",
        "5 say worker.1 was killed by SIGTERM while stopping, after 0.00 s",
        "5.0625 say SIGTERM received; stopping everything",
        "5.0625 say all stopped after 0.00 s; exit status 0",
    ]
    assert told(*children, platform=[(5.0, 0.125)])[-1:] == [
        "5.1 say all stopped after 0.00 s; exit status 143",
    ]


def test_everything_stops_with_status_141_when_stdout_has_no_reader() -> None:
    assert told(child("web.1", stops_after=1.0), output_gone_at=5.0)[3:] == [
        "5 kill 101 SIGTERM",
        "6 say web.1 stopped after 1.00 s",
        "6 say all stopped after 1.00 s; exit status 141",
    ]


def test_a_user_signal_is_passed_on_only_to_the_process_that_declares_it() -> None:
    web = child("web.1", forwards=frozenset({SIGUSR1}))

    assert told(web, child("worker.1"), signals=[(5.0, SIGUSR1), (6.0, SIGTERM)])[5:7] == [
        "5 say SIGUSR1 received; passed on",
        "5 kill 101 SIGUSR1",
    ]


def test_the_first_of_two_simultaneous_exits_decides_the_exit_status() -> None:
    """worker.1 is already dead and reaped, and its pid free, when the end of web.1 stops it."""
    web = child("web.1", exits_after=5.0, status=ExitStatus(code=3))
    worker = child("worker.1", exits_after=5.0, status=ExitStatus(code=4))

    assert told(web, worker)[5:] == [
        "5 say web.1 exited with status 3 after 5.00 s; stopping everything",
        "5 kill 102 SIGTERM",
        "5 say worker.1 exited with status 4 while stopping, after 0.00 s",
        "5 say all stopped after 0.00 s; exit status 3",
    ]


def test_a_process_that_starts_while_another_process_fails_is_stopped() -> None:
    web = child("web.1", exits_after=0.25, status=ExitStatus(code=3))

    assert told(web, child("worker.1"), spawn_takes=0.5) == [
        "0.5 spawn web.1 101",
        "0.5 say web.1 started (pid 101)",
        "1 spawn worker.1 102",
        "1 say web.1 exited with status 3 after 0.50 s; stopping everything",
        # The answer to the start is on its way.
        "1 cancel the start of worker.1",
        "1 kill 102 SIGTERM",
        "1 say worker.1 stopped after 0.00 s",
        "1 say all stopped after 0.00 s; exit status 3",
    ]


def test_migrations_run_first_and_a_worker_stops_before_its_dependencies() -> None:
    migrate = child("migrate.1", oneshot=True, exits_after=2.0)
    web = child("web.1", after=frozenset({"migrate.1"}), stops_after=1.0)
    worker = child("worker.1", after=frozenset({"web.1"}), stops_after=0.5)

    assert told(worker, migrate, web, signals=[(10.0, SIGTERM)]) == [
        "0 spawn migrate.1 101",
        "2 say migrate.1 finished after 2.00 s",
        "2 spawn web.1 102",
        "2 say web.1 started (pid 102)",
        "2 spawn worker.1 103",
        "2 say worker.1 started (pid 103)",
        "2 say all 3 ready after 2.00 s",
        "10 say SIGTERM received; stopping everything",
        "10 kill 103 SIGTERM",
        "10.5 say worker.1 stopped after 0.50 s",
        "10.5 kill 102 SIGTERM",
        "11.5 say web.1 stopped after 1.00 s",
        "11.5 say all stopped after 1.50 s; exit status 0",
    ]


def test_a_failed_oneshot_stops_everything_before_its_dependents_start() -> None:
    migrate = child("migrate.1", oneshot=True, exits_after=2.0, status=ExitStatus(code=3))
    web = child("web.1", after=frozenset({"migrate.1"}))

    assert told(migrate, web) == [
        "0 spawn migrate.1 101",
        "2 say migrate.1 exited with status 3 after 2.00 s; stopping everything",
        "2 say all stopped after 0.00 s; exit status 3",
    ]


def test_a_crash_loop_ends_at_the_start_limit() -> None:
    crash = Behaviour(exits_after=0.25, status=ExitStatus(code=7))
    worker = child("worker.1", restart=RestartPolicy.ON_FAILURE, start_burst=3, behaviours=(crash,))
    again = "say worker.1 exited with status 7 after 0.25 s, restarted once so far"

    assert told(worker, child("web.1")) == [
        "0 spawn worker.1 101",
        "0 say worker.1 started (pid 101)",
        "0 spawn web.1 102",
        "0 say web.1 started (pid 102)",
        "0 say all 2 ready after 0.00 s",
        "0.25 say worker.1 exited with status 7 after 0.25 s; restarting in 0.50 s",
        "0.75 spawn worker.1 103",
        "0.75 say worker.1 started (pid 103)",
        f"1 {again}; restarting in 1.00 s",
        "2 spawn worker.1 104",
        "2 say worker.1 started (pid 104)",
        "2.25 say worker.1 exited with status 7 after 0.25 s, restarted 2 times so far",
        "2.25 say giving up on worker.1: 3 starts in 60 s (START_LIMIT); stopping everything",
        "2.25 kill 102 SIGTERM",
        "2.25 say web.1 stopped after 0.00 s",
        "2.25 say all stopped after 0.00 s; exit status 7",
    ]


def test_an_unhealthy_process_is_restarted() -> None:
    sick = Behaviour(health=("", "HTTP 500", None), stops_after=0.25)
    check = CheckSchedule(interval=5.0, timeout=1.0, retries=2)
    web = child("web.1", check=check, restart=RestartPolicy.ALWAYS, behaviours=(sick, Behaviour()))

    assert told(web, signals=[(20.0, SIGTERM)])[3:] == [
        "5 probe 101 HEALTH",
        "10 probe 101 HEALTH",
        "10 say web.1 failed a health check (1 of 2): HTTP 500",
        "15 probe 101 HEALTH",
        "16 cancel 101",
        "16 say web.1 is unhealthy: no answer within 1 s, 2 times in a row; stopping it",
        "16 kill 101 SIGTERM",
        "16.25 say web.1 stopped after 0.25 s; restarting in 0.50 s",
        "16.75 spawn web.1 102",
        "16.75 say web.1 started (pid 102)",
        "20 say SIGTERM received; stopping everything",
        "20 kill 102 SIGTERM",
        "20 say web.1 stopped after 0.00 s",
        "20 say all stopped after 0.00 s; exit status 0",
    ]


def test_no_process_is_reported_unhealthy_while_everything_stops() -> None:
    """web.1 must live until worker.1, which comes after it, has ended, healthy or not."""
    check = CheckSchedule(interval=1.0, timeout=1.0, retries=1)
    sick = Behaviour(health=("", "HTTP 500"))
    web = child("web.1", check=check, watchdog=9.5, behaviours=(sick,))
    worker = child("worker.1", after=frozenset({"web.1"}), stops_after=5.0)

    assert told(web, worker, signals=[(1.5, SIGTERM)])[6:] == [
        "1.5 say SIGTERM received; stopping everything",
        "1.5 kill 102 SIGTERM",
        "2.5 say waiting for worker.1; SIGKILL in 24.0 s",
        "6.5 say worker.1 stopped after 5.00 s",
        "6.5 kill 101 SIGTERM",
        "6.5 say web.1 stopped after 0.00 s",
        "6.5 say all stopped after 5.00 s; exit status 0",
    ]


def test_a_recycled_process_is_restarted_without_backoff() -> None:
    batch = Behaviour(ready_after=0.25, exits_after=4.0, members=(Member(),))
    behaviours = (batch, batch, Behaviour())
    worker = child(
        "worker.1",
        notifies=True,
        recycles=True,
        restart=RestartPolicy.ALWAYS,
        start_burst=1,
        behaviours=behaviours,
    )

    assert told(worker, signals=[(9.0, SIGTERM)], kill_takes=0.25)[:8] == [
        "0 spawn worker.1 101",
        "0.25 say worker.1 ready after 0.25 s (pid 101)",
        "0.25 say all 1 ready after 0.25 s",
        "4 say worker.1 exited with status 0 after 4.00 s; restarting",
        "4 killpg 101 SIGKILL",
        "4.25 spawn worker.1 102",
        "4.5 say worker.1 ready after 0.25 s (pid 102)",
        "8.25 say worker.1 exited with status 0 after 4.00 s, restarted once so far; restarting",
    ]


def test_the_escalation_signal_is_sent_before_sigkill() -> None:
    worker = child(
        "worker.1",
        stop_timeout=25.0,
        escalation_signal=SIGQUIT,
        stops_after=None,
        escalation_after=0.5,
        stop_status=ExitStatus(code=1),
    )

    assert told(worker, signals=[(10.0, SIGTERM)])[3:] == [
        "10 say SIGTERM received; stopping everything",
        "10 kill 101 SIGTERM",
        "11 say waiting for worker.1; SIGKILL in 24.0 s",
        "22.5 say waiting for worker.1; SIGKILL in 12.5 s",
        "27.5 say worker.1 is still running; sending it SIGQUIT",
        "27.5 kill 101 SIGQUIT",
        "28 say worker.1 exited with status 1 while stopping, after 18.0 s",
        "28 say all stopped after 18.0 s; exit status 0",
    ]


def test_a_process_that_stops_sending_watchdog_pings_is_restarted() -> None:
    pings = tuple((at, Notified(NOBODY, watchdog=WatchdogMessage.PING)) for at in (1.0, 2.0, 3.0))
    hangs = Behaviour(says=pings, stops_after=None)
    worker = child(
        "worker.1",
        watchdog=1.5,
        stop_timeout=2.5,
        restart=RestartPolicy.ON_FAILURE,
        behaviours=(hangs, Behaviour(says=pings)),
    )

    assert told(worker, signals=[(9.0, SIGTERM)])[3:] == [
        "4.5 say worker.1 is unhealthy: no WATCHDOG=1 for 1.5 s; stopping it",
        "4.5 kill 101 SIGTERM",
        "5.5 say waiting for worker.1; SIGKILL in 1.50 s",
        "5.75 say waiting for worker.1; SIGKILL in 1.25 s",
        "7 say worker.1 did not stop within 2.5 s; killing it and its process group",
        "7 killpg 101 SIGKILL",
        "7.25 say worker.1 killed; restarting in 0.50 s",
        "7.75 spawn worker.1 102",
        "7.75 say worker.1 started (pid 102)",
        "9 say SIGTERM received; stopping everything",
        "9 kill 102 SIGTERM",
        "9 say worker.1 stopped after 0.00 s",
        "9 say all stopped after 0.00 s; exit status 0",
    ]


def test_the_service_manager_is_notified_of_readiness_status_and_stop() -> None:
    web = child("web.1", says=((1.0, Notified(NOBODY, status="serving")),))

    assert [
        what for what in told(web, notifications=True, signals=[(3.0, SIGTERM)]) if " tell " in what
    ] == [
        "0 tell STATUS=web.1 started (pid 101)",
        "0 tell READY=1\nSTATUS=all 1 ready after 0.00 s",
        "1 tell STATUS=web.1: serving",
        "3 tell STATUS=SIGTERM received; stopping everything",
        "3 tell STOPPING=1",
        "3 tell STATUS=web.1 stopped after 0.00 s",
        "3 tell STATUS=all stopped after 0.00 s; exit status 0",
    ]


# ---- lives that survive SIGKILL ----


def test_a_stop_does_not_wait_forever_for_a_process_that_survives_sigkill() -> None:
    """It is in uninterruptible sleep, or belongs to another user."""
    stuck = child("worker.1", stop_timeout=2.0, stops_after=None, unkillable=True)

    assert told(stuck, signals=[(10.0, SIGTERM)])[3:] == [
        "10 say SIGTERM received; stopping everything",
        "10 kill 101 SIGTERM",
        "11 say waiting for worker.1; SIGKILL in 1.00 s",
        "12 say worker.1 did not stop within 2 s; killing it and its process group",
        "12 killpg 101 SIGKILL",
        "17 say worker.1 survived SIGKILL for 5 s: leader (pid 101); no longer waiting for it",
        "17 say all stopped after 7.00 s; exit status 1",
    ]


def test_a_second_signal_does_not_wait_forever_for_an_unkillable_process() -> None:
    stuck = child("worker.1", stops_after=None, unkillable=True)

    assert told(stuck, signals=[(10.0, SIGTERM), (10.5, SIGTERM)])[5:] == [
        "10.5 say SIGTERM received; killing everything",
        "10.5 killpg 101 SIGKILL",
        "15.5 say worker.1 survived SIGKILL for 5 s: leader (pid 101); no longer waiting for it",
        "15.5 say all stopped after 5.50 s; exit status 1",
    ]


def test_a_stop_does_not_wait_forever_for_an_unkillable_group_member() -> None:
    helped = child("web.1", members=(Member(unkillable=True),))

    assert told(helped, signals=[(10.0, SIGTERM)])[3:] == [
        "10 say SIGTERM received; stopping everything",
        "10 kill 101 SIGTERM",
        "10 say web.1 stopped after 0.00 s",
        *(f"{at} killpg 101 SIGKILL" for at in (11, 12, 13, 14, 15, 16)),
        "16 say web.1 survived SIGKILL for 5 s: member (pid 101); no longer waiting for it",
        "16 say all stopped after 6.00 s; exit status 1",
    ]


def test_a_restart_waits_no_longer_than_five_seconds_for_an_unkillable_member() -> None:
    crash = Behaviour(
        exits_after=0.5, status=ExitStatus(code=3), members=(Member(3.0, unkillable=True),)
    )
    stuck = replace(crash, members=(Member(unkillable=True),))
    again = "worker.1 exited with status 3 after 0.50 s, restarted once so far"
    worker = child(
        "worker.1",
        restart=RestartPolicy.ALWAYS,
        backoff_initial=0.25,
        behaviours=(crash, stuck, Behaviour()),
    )

    assert told(worker, signals=[(20.0, SIGTERM)])[3:] == [
        "0.5 say worker.1 exited with status 3 after 0.50 s; restarting in 0.25 s",
        *(f"{at} killpg 101 SIGKILL" for at in (0.75, 1.75, 2.75)),
        "3 spawn worker.1 102",
        "3 say worker.1 started (pid 102)",
        f"3.5 say {again}; restarting in 0.50 s",
        *(f"{at:g} killpg 102 SIGKILL" for at in (4.0, 5.0, 6.0, 7.0, 8.0, 9.0)),
        "9 say worker.1 survived SIGKILL for 5 s: member (pid 102); no longer waiting for it",
        "9 spawn worker.1 103",
        "9 say worker.1 started (pid 103)",
        "20 say SIGTERM received; stopping everything",
        "20 kill 103 SIGTERM",
        "20 say worker.1 stopped after 0.00 s",
        "20 say all stopped after 0.00 s; exit status 1",
    ]


# ---- a oneshot runs while another process fails ----


def test_a_failed_oneshot_lets_another_one_finish() -> None:
    static = child("static.1", oneshot=True, exits_after=1.0, status=ExitStatus(code=1))
    migrate = child("migrate.1", oneshot=True, exits_after=9.0)
    web = child("web.1", after=frozenset({"static.1", "migrate.1"}))
    beat = child("beat.1")

    assert told(static, migrate, web, beat) == [
        "0 spawn static.1 101",
        "0 spawn migrate.1 102",
        "0 spawn beat.1 103",
        "0 say beat.1 started (pid 103)",
        "1 say static.1 exited with status 1 after 1.00 s; stopping everything",
        "1 kill 103 SIGTERM",
        "1 say waiting up to 25.0 s for migrate.1 to finish",
        "1 say beat.1 stopped after 0.00 s",
        "9 say migrate.1 finished after 9.00 s",
        "9 say all stopped after 8.00 s; exit status 1",
    ]


def test_a_oneshot_that_does_not_finish_in_time_after_a_failure_is_stopped() -> None:
    migrate = child("migrate.1", oneshot=True, stop_timeout=5.0, stops_after=0.25)
    web = child("web.1", exits_after=2.0, status=ExitStatus(code=3))

    assert told(migrate, web)[3:] == [
        "2 say web.1 exited with status 3 after 2.00 s; stopping everything",
        "2 say waiting up to 5.00 s for migrate.1 to finish",
        "7 kill 101 SIGTERM",
        "7.25 say migrate.1 stopped after 0.25 s",
        "7.25 say all stopped after 5.25 s; exit status 3",
    ]


def test_sigterm_stops_a_oneshot_that_was_allowed_to_finish() -> None:
    migrate = child("migrate.1", oneshot=True, stops_after=0.25)
    web = child("web.1", exits_after=2.0, status=ExitStatus(code=3))

    assert told(migrate, web, signals=[(3.0, SIGTERM)])[4:] == [
        "2 say waiting up to 25.0 s for migrate.1 to finish",
        "3 say SIGTERM received; stopping everything",
        "3 kill 101 SIGTERM",
        "3.25 say migrate.1 stopped after 0.25 s",
        "3.25 say all stopped after 1.25 s; exit status 3",
    ]


def test_a_signal_after_all_oneshots_finished_counts_as_the_first_signal() -> None:
    migrate = child("migrate.1", oneshot=True, exits_after=2.0, members=(Member(ends_after=2.75),))

    assert told(migrate, signals=[(2.5, SIGTERM)])[1:] == [
        "2 say migrate.1 finished after 2.00 s",
        "2 say all 1 finished after 2.00 s",
        "2.5 say SIGTERM received; stopping everything",
        "2.75 say all stopped after 0.75 s; exit status 0",
    ]


# ---- requests ----


def test_a_stopped_instance_is_no_failure_and_starts_again_on_request() -> None:
    web, worker = child("web.1"), child("worker.1", stops_after=0.5)
    requests = [
        (5.0, GoalRequest("worker", Goal.DOWN)),
        (9.0, GoalRequest("worker.1", Goal.UP)),
    ]

    assert told(web, worker, requests=requests, signals=[(20.0, SIGTERM)])[5:10] == [
        "5 kill 102 SIGTERM",
        "5.5 say worker.1 stopped after 0.50 s",
        "9 spawn worker.1 103",
        "9 say worker.1 started (pid 103)",
        "20 say SIGTERM received; stopping everything",
    ]


def test_a_restart_replaces_instances_one_by_one_and_stops_each_first() -> None:
    web = [child(name, notifies=True, ready_after=1.0) for name in ("web.1", "web.2")]
    requests = [(5.0, RestartRequest("web"))]

    assert told(*web, requests=requests, signals=[(20.0, SIGTERM)])[5:14] == [
        "5 kill 101 SIGTERM",
        "5 say web.1 stopped after 0.00 s; restarting",
        "5 spawn web.1 103",
        "6 say web.1 ready after 1.00 s (pid 103)",
        "6 kill 102 SIGTERM",
        "6 say web.2 stopped after 0.00 s; restarting",
        "6 spawn web.2 104",
        "7 say web.2 ready after 1.00 s (pid 104)",
        "20 say SIGTERM received; stopping everything",
    ]


def test_with_held_sockets_a_restart_starts_the_new_life_first() -> None:
    web = [
        child(name, notifies=True, start_first=True, ready_after=1.0, stops_after=0.5)
        for name in ("web.1", "web.2")
    ]
    requests = [(5.0, RestartRequest("web"))]

    assert told(*web, requests=requests, signals=[(20.0, SIGTERM)])[5:14] == [
        "5 spawn web.1 103",
        "6 say web.1 ready after 1.00 s (pid 103)",
        "6 kill 101 SIGTERM",
        "6.5 say web.1 stopped after 0.50 s",
        "6.5 spawn web.2 104",
        "7.5 say web.2 ready after 1.00 s (pid 104)",
        "7.5 kill 102 SIGTERM",
        "8 say web.2 stopped after 0.50 s",
        "20 say SIGTERM received; stopping everything",
    ]


def test_a_new_life_that_fails_ends_the_update_and_the_old_one_stays() -> None:
    broken = Behaviour(exits_after=0.5, status=ExitStatus(code=1))
    web = child(
        "web.1", notifies=True, start_first=True, behaviours=(Behaviour(ready_after=1.0), broken)
    )
    other = child("web.2", start_first=True)
    requests = [(5.0, RestartRequest("web"))]

    assert told(web, other, requests=requests, signals=[(20.0, SIGTERM)])[5:9] == [
        "5 spawn web.1 103",
        "5.5 say web.1 exited with status 1 after 0.50 s, before it was ready",
        "5.5 say web.1 was not replaced: the new one did not become ready",
        "20 say SIGTERM received; stopping everything",
    ]


def test_a_life_that_is_not_ready_in_time_does_not_replace_the_old_one() -> None:
    web = child(
        "web.1",
        notifies=True,
        ready_timeout=2.0,
        start_first=True,
        behaviours=(Behaviour(ready_after=1.0), Behaviour()),
    )
    requests = [(5.0, RestartRequest("web.1"))]

    assert told(web, requests=requests, signals=[(20.0, SIGTERM)])[3:8] == [
        "5 spawn web.1 102",
        "7 say web.1 was not ready within 2 s; stopping it",
        "7 kill 102 SIGTERM",
        "7 say web.1 stopped after 0.00 s",
        "7 say web.1 was not replaced: the new one did not become ready",
    ]


def test_an_old_life_that_crashes_during_a_restart_is_still_replaced() -> None:
    crash = Behaviour(ready_after=1.0, exits_after=6.0, status=ExitStatus(code=1))
    web = child(
        "web.1", notifies=True, start_first=True, behaviours=(crash, Behaviour(ready_after=3.0))
    )
    requests = [(5.0, RestartRequest("web"))]

    assert told(web, requests=requests, signals=[(20.0, SIGTERM)])[3:7] == [
        "5 spawn web.1 102",
        "6 say web.1 exited with status 1 after 6.00 s",
        "8 say web.1 ready after 3.00 s (pid 102)",
        "20 say SIGTERM received; stopping everything",
    ]


def test_scaling_starts_the_next_instances_and_stops_the_highest_numbers() -> None:
    worker = child("worker.1")
    requests = [(5.0, ScaleRequest("worker", 3)), (9.0, ScaleRequest("worker", 1))]

    assert told(worker, requests=requests, signals=[(20.0, SIGTERM)])[3:12] == [
        "5 spawn worker.2 102",
        "5 say worker.2 started (pid 102)",
        "5 spawn worker.3 103",
        "5 say worker.3 started (pid 103)",
        "9 kill 102 SIGTERM",
        "9 kill 103 SIGTERM",
        "9 say worker.2 stopped after 0.00 s",
        "9 say worker.3 stopped after 0.00 s",
        "20 say SIGTERM received; stopping everything",
    ]


def test_a_request_that_cannot_be_granted_changes_nothing() -> None:
    web = child("web.1", stops_after=1.0)
    requests = [(5.0, RestartRequest("wbe")), (20.5, ScaleRequest("web", 3))]

    assert told(web, requests=requests, signals=[(20.0, SIGTERM)])[3:] == [
        "5 say wbe: no instance or process has that name; nothing was changed",
        "20 say SIGTERM received; stopping everything",
        "20 kill 101 SIGTERM",
        "20.5 say web: everything is being stopped; nothing was changed",
        "21 say web.1 stopped after 1.00 s",
        "21 say all stopped after 1.00 s; exit status 0",
    ]


def test_a_restart_that_fails_for_lack_of_memory_is_retried() -> None:
    """A start that the system refuses is tried again, according to the restart policy."""
    worker = child(
        "worker.1",
        restart=RestartPolicy.ALWAYS,
        behaviours=(
            Behaviour(exits_after=10.0, status=ExitStatus(code=1)),
            Behaviour(cannot_start="no memory"),
            Behaviour(cannot_start="no memory"),
            Behaviour(),
        ),
    )

    assert told(child("web.1"), worker, signals=[(60.0, SIGTERM)])[5:-3] == [
        "10 say worker.1 exited with status 1 after 10.0 s; restarting in 0.50 s",
        "10.5 spawn worker.1: no memory",
        "10.5 say worker.1 could not be started: no memory; restarting in 1.00 s",
        "11.5 spawn worker.1: no memory",
        "11.5 say worker.1 could not be started: no memory; restarting in 2.00 s",
        "13.5 spawn worker.1 103",
        "13.5 say worker.1 started (pid 103)",
        "60 say SIGTERM received; stopping everything",
        "60 kill 101 SIGTERM",
        "60 kill 103 SIGTERM",
    ]


def test_starts_that_keep_failing_reach_the_start_limit() -> None:
    worker = child(
        "worker.1", restart=RestartPolicy.ON_FAILURE, start_burst=2, cannot_start="no memory"
    )

    assert told(worker) == [
        "0 spawn worker.1: no memory",
        "0 say worker.1 could not be started: no memory; restarting in 0.50 s",
        "0.5 spawn worker.1: no memory",
        "0.5 say worker.1 could not be started: no memory",
        "0.5 say giving up on worker.1: 2 starts in 60 s (START_LIMIT); stopping everything",
        "0.5 say all stopped after 0.00 s; exit status 1",
    ]


def test_a_health_check_that_cannot_start_does_not_count_as_failed() -> None:
    web = child(
        "web.1",
        check=CheckSchedule(interval=10.0, retries=2),
        health=("HTTP 500", "HTTP 500"),
        refused_probes=frozenset({1, 2}),
    )

    assert told(web)[3:-2] == [
        "10 probe 101 HEALTH",
        "10 say web.1 failed a health check (1 of 2): HTTP 500",
        "20 probe 101 HEALTH",
        "20 say web.1 could not be checked: no descriptor; trying again",
        "30 probe 101 HEALTH",
        "40 probe 101 HEALTH",
        "40 say web.1 is unhealthy: HTTP 500, 2 times in a row; stopping it",
        "40 kill 101 SIGTERM",
    ]


def test_a_suspended_process_is_continued_so_that_it_can_stop() -> None:
    web = child("web.1", stopped_after=5.0, stops_after=0.5, members=(Member(stopped=True),))

    assert told(web, signals=[(10.0, SIGTERM)])[3:] == [
        "10 say SIGTERM received; stopping everything",
        "10 kill 101 SIGTERM",
        "10 killpg 101 SIGCONT",
        "10.5 say web.1 stopped after 0.50 s",
        "11.5 killpg 101 SIGKILL",
        "11.75 say all stopped after 1.75 s; exit status 0",
    ]


def test_a_signal_is_handled_between_the_starts_of_many_processes() -> None:
    many = [child(f"web.{number}") for number in range(1, 301)]

    run = told(*many, signals=[(0.75, SIGTERM)], spawn_takes=0.5)

    assert [line for line in run if "spawn" in line] == ["0.5 spawn web.1 101", "1 spawn web.2 102"]
    assert run[-1] == "1 say all stopped after 0.00 s; exit status 0"


# ---- a template: starts are answered late, too late, or never ----


def test_a_late_start_delays_no_other_process_and_has_its_full_ready_timeout() -> None:
    web = child("web.1", notifies=True, ready_timeout=2.0, exists_after=60.0, ready_after=1.5)

    assert told(web, child("worker.1"), signals=[(70.0, SIGTERM)]) == [
        "0 ask for web.1",
        "0 spawn worker.1 101",
        "0 say worker.1 started (pid 101)",
        "60 spawn web.1 102",
        "61.5 say web.1 ready after 1.50 s (pid 102)",
        "61.5 say all 2 ready after 61.5 s",
        "70 say SIGTERM received; stopping everything",
        "70 kill 102 SIGTERM",
        "70 kill 101 SIGTERM",
        "70 say web.1 stopped after 0.00 s",
        "70 say worker.1 stopped after 0.00 s",
        "70 say all stopped after 0.00 s; exit status 0",
    ]


def test_a_dead_template_ends_no_life_and_restarts_wait_for_the_next_template() -> None:
    crash = Behaviour(exits_after=10.0, status=ExitStatus(code=1))
    worker = child("worker.1", restart=RestartPolicy.ALWAYS, behaviours=(crash, Behaviour()))

    assert told(child("web.1"), worker, without_template=[(5.0, 50.0)], signals=[(60.0, SIGTERM)])[
        5:-3
    ] == [
        "10 say worker.1 exited with status 1 after 10.0 s; restarting in 0.50 s",
        "10.5 ask for worker.1",
        "50 spawn worker.1 103",
        "50 say worker.1 started (pid 103)",
        "60 say SIGTERM received; stopping everything",
        "60 kill 101 SIGTERM",
        "60 kill 103 SIGTERM",
    ]


def test_a_start_that_is_never_answered_does_not_delay_a_stop() -> None:
    web = child("web.1", exists_after=None)

    assert told(web, child("worker.1"), signals=[(5.0, SIGTERM)], cancel_takes=0.25) == [
        "0 ask for web.1",
        "0 spawn worker.1 101",
        "0 say worker.1 started (pid 101)",
        "5 say SIGTERM received; stopping everything",
        "5 cancel the start of web.1",
        "5 kill 101 SIGTERM",
        "5 say worker.1 stopped after 0.00 s",
        "5.25 say all stopped after 0.25 s; exit status 0",
    ]


def test_a_process_that_starts_despite_its_cancellation_is_stopped_at_once() -> None:
    web = child("web.1", exists_after=None, cancelled_too_late=True, stops_after=0.5)

    assert told(web, signals=[(5.0, SIGTERM)], cancel_takes=0.25) == [
        "0 ask for web.1",
        "5 say SIGTERM received; stopping everything",
        "5 cancel the start of web.1",
        "5.25 spawn web.1 101",
        "5.25 kill 101 SIGTERM",
        "5.75 say web.1 stopped after 0.50 s",
        "5.75 say all stopped after 0.75 s; exit status 0",
    ]


def test_a_process_that_starts_after_a_second_signal_is_killed_at_once() -> None:
    web = child("web.1", exists_after=None, cancelled_too_late=True)
    signals = [(5.0, SIGTERM), (5.125, SIGTERM)]

    assert told(web, signals=signals, cancel_takes=0.25)[3:] == [
        "5.125 say SIGTERM received; killing everything",
        "5.25 spawn web.1 101",
        "5.25 killpg 101 SIGKILL",
        "5.5 say web.1 killed",
        "5.5 say all stopped after 0.50 s; exit status 143",
    ]


def test_a_start_that_was_cancelled_on_request_can_be_requested_again() -> None:
    web = child("web.1", behaviours=(Behaviour(exists_after=None), Behaviour()))
    requests = [(5.0, GoalRequest("web", Goal.DOWN)), (5.125, GoalRequest("web", Goal.UP))]

    assert told(web, requests=requests, signals=[(9.0, SIGTERM)], cancel_takes=0.25)[:4] == [
        "0 ask for web.1",
        "5 cancel the start of web.1",
        "5.25 spawn web.1 101",
        "5.25 say web.1 started (pid 101)",
    ]


def test_a_oneshot_that_has_not_started_yet_is_cancelled_after_a_failure() -> None:
    migrate = child("migrate.1", oneshot=True, exits_after=2.0)
    static = child("static.1", oneshot=True, exists_after=3.0)
    web = child("web.1", exits_after=1.0, status=ExitStatus(code=3))

    assert told(web, migrate, static) == [
        "0 spawn web.1 101",
        "0 say web.1 started (pid 101)",
        "0 spawn migrate.1 102",
        "0 ask for static.1",
        "1 say web.1 exited with status 3 after 1.00 s; stopping everything",
        "1 cancel the start of static.1",
        "1 say waiting up to 25.0 s for migrate.1 to finish",
        "2 say migrate.1 finished after 2.00 s",
        "2 say all stopped after 1.00 s; exit status 3",
    ]


def test_a_stop_ends_a_restart_whose_new_life_never_started() -> None:
    web = child("web.1", start_first=True, behaviours=(Behaviour(), Behaviour(exists_after=None)))

    assert told(web, requests=[(5.0, RestartRequest("web"))], signals=[(9.0, SIGTERM)])[3:] == [
        "5 ask for web.1",
        "9 say SIGTERM received; stopping everything",
        "9 cancel the start of web.1",
        "9 say web.1 was not replaced: the new one did not become ready",
        "9 kill 101 SIGTERM",
        "9 say web.1 stopped after 0.00 s",
        "9 say all stopped after 0.00 s; exit status 0",
    ]


def test_a_preload_that_fails_after_a_oneshot_stops_everything() -> None:
    migrate = child("migrate.1", oneshot=True, exits_after=2.0)
    web = child("web.1", after=frozenset({"migrate.1"}), exists_after=5.0)
    static = child("static.1", oneshot=True, exits_after=4.0)

    assert told(migrate, web, static, child("beat.1"), preload_fails_at=3.0) == [
        "0 spawn migrate.1 101",
        "0 spawn static.1 102",
        "0 spawn beat.1 103",
        "0 say beat.1 started (pid 103)",
        "2 say migrate.1 finished after 2.00 s",
        "2 ask for web.1",
        "3 say the preload failed: It cannot be loaded; stopping everything",
        "3 cancel the start of web.1",
        "3 kill 103 SIGTERM",
        "3 say waiting up to 25.0 s for static.1 to finish",
        "3 say beat.1 stopped after 0.00 s",
        "4 say static.1 finished after 4.00 s",
        "4 say all stopped after 1.00 s; exit status 1",
    ]


# ---- the world itself: a fake that is wrong proves nothing ----


def test_the_fake_world_fails_a_run_that_would_never_end() -> None:
    with pytest.raises(AssertionError, match="sleep for ever"):
        told(child("web.1"))


def test_the_fake_world_fails_a_wakeup_that_does_nothing() -> None:
    class Restless(Group):
        @property
        def deadline(self) -> float:
            return 1000.0

    world = World([child("web.1")])
    with pytest.raises(AssertionError, match="did nothing"):
        run(Restless([child("web.1").spec]), world, world.observers)


def test_an_undeclared_user_signal_kills_a_process_in_the_fake_world() -> None:
    web = child("web.1")
    world = World([web])
    ref = Ref("web.1", 0, 1)
    world.spawn(ref)

    world.kill(ref, SIGUSR1, False)

    assert world.alive == []
