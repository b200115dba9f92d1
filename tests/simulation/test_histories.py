"""Whole runs, told from the first line to the last. A fixed bug leaves a history here."""

from __future__ import annotations

from signal import SIGINT, SIGTERM, SIGUSR1
from typing import Any

import pytest

from django_prodserver.supervisor.model import ExitStatus, Spec
from django_prodserver.supervisor.run import run
from django_prodserver.supervisor.supervisor import Supervisor

from .world import Child, Member, World


def child(name: str, stop_signal: Any = SIGTERM, **more: Any) -> Child:
    known = {key: more.pop(key) for key in list(more) if key in Spec.__annotations__}
    return Child(Spec(name, stop_signal=stop_signal, **known), **more)


def told(*children: Child, **more: Any) -> list[str]:
    """Run them; return what was done and said, with the time."""
    world = World(children, **more)
    run(Supervisor([child.spec for child in children]), world)
    return [f"{time:g} {what}" for time, what in world.trace]


def test_a_worker_fails_and_everything_stops() -> None:
    web = child("web.1", notifies=True, ready_after=0.5)
    worker = child("worker.1", notifies=True, ready_after=1.0, exits_after=126.0)
    failing = Child(worker.spec, ready_after=1.0, exits_after=126.0, status=ExitStatus(code=1))

    assert told(web, failing, signals=[(600.0, SIGTERM)]) == [
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


def test_control_c() -> None:
    web = child("web.1", stops_after=0.75)
    worker = child("worker.1", SIGINT, stops_after=2.0, stop_status=ExitStatus(signal=2))

    assert told(web, worker, signals=[(60.0, SIGINT)]) == [
        "0 spawn web.1 101",
        "0 say web.1 ready after 0.00 s (pid 101)",
        "0 spawn worker.1 102",
        "0 say worker.1 ready after 0.00 s (pid 102)",
        "0 say all 2 ready after 0.00 s",
        "60 say SIGINT received; stopping everything",
        "60 kill 101 SIGTERM",
        "60 kill 102 SIGINT",
        "60.75 say web.1 stopped after 0.75 s",
        "62 say worker.1 stopped after 2.00 s",
        "62 say all stopped after 2.00 s; exit status 130",
    ]


def test_one_is_stubborn_and_its_children_too() -> None:
    stubborn = child("web.1", stop_timeout=25.0, stops_after=None, members=(Member(), Member()))

    assert told(stubborn, signals=[(10.0, SIGTERM)])[3:] == [
        "10 say SIGTERM received; stopping everything",
        "10 kill 101 SIGTERM",
        "35 say web.1 did not stop within 25 s; killing it and its process group",
        "35 killpg 101 SIGKILL",
        "35.25 say web.1 killed",
        "35.25 say all stopped after 25.2 s; exit status 1",
    ]


def test_a_second_signal_waits_for_nobody() -> None:
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
def test_what_a_leader_leaves_behind_gets_a_second(adopts: bool) -> None:
    web = child("web.1", members=(Member(),))
    # Where orphans go to somebody else, only a signal that finds nobody tells that they are gone.
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


def test_what_a_leader_leaves_behind_may_end_by_itself() -> None:
    web = child("web.1", members=(Member(ends_after=10.5),))

    assert told(web, signals=[(10.0, SIGTERM)])[3:] == [
        "10 say SIGTERM received; stopping everything",
        "10 kill 101 SIGTERM",
        "10 say web.1 stopped after 0.00 s",
        "10.5 say all stopped after 0.50 s; exit status 0",
    ]


def test_a_shell_takes_what_it_runs_with_it() -> None:
    shell = child("sh.1", stop_group=True, members=(Member(heeds_stop_signal=True),))

    assert told(shell, signals=[(10.0, SIGTERM)])[3:] == [
        "10 say SIGTERM received; stopping everything",
        "10 killpg 101 SIGTERM",
        "10 say sh.1 stopped after 0.00 s",
        "10 say all stopped after 0.00 s; exit status 0",
    ]


def test_one_cannot_be_started() -> None:
    web, worker, beat = child("web.1"), child("worker.1", cannot_start="no pids"), child("beat.1")

    assert told(web, worker, beat) == [
        "0 spawn web.1 101",
        "0 say web.1 ready after 0.00 s (pid 101)",
        "0 spawn worker.1: no pids",
        "0 say worker.1 could not be started: no pids; stopping everything",
        "0 kill 101 SIGTERM",
        "0 say web.1 stopped after 0.00 s",
        "0 say all stopped after 0.00 s; exit status 1",
    ]


def test_one_is_killed_from_outside() -> None:
    killed = child("web.1", exits_after=8.0, status=ExitStatus(signal=9))

    assert told(killed)[-2:] == [
        "8 say web.1 was killed by SIGKILL from outside after 8.00 s; stopping everything",
        "8 say all stopped after 0.00 s; exit status 137",
    ]


def test_nobody_reads_stdout_any_more() -> None:
    assert told(child("web.1", stops_after=1.0), output_gone_at=5.0)[3:] == [
        "5 kill 101 SIGTERM",
        "6 say web.1 stopped after 1.00 s",
        "6 say all stopped after 1.00 s; exit status 141",
    ]


def test_a_user_signal_reaches_the_one_that_knows_it() -> None:
    web = child("web.1", forwards=frozenset({SIGUSR1}))

    assert told(web, child("worker.1"), signals=[(5.0, SIGUSR1), (6.0, SIGTERM)])[5:7] == [
        "5 say SIGUSR1 received; passed on",
        "5 kill 101 SIGUSR1",
    ]


def test_two_end_at_the_same_moment() -> None:
    """The second is dead and reaped, and its pid nobody's, when the first has it asked to stop."""
    web = child("web.1", exits_after=5.0, status=ExitStatus(code=3))
    worker = child("worker.1", exits_after=5.0, status=ExitStatus(code=4))

    assert told(web, worker)[5:] == [
        "5 say web.1 exited with status 3 after 5.00 s; stopping everything",
        "5 kill 102 SIGTERM",
        "5 say worker.1 exited with status 4 while stopping, after 0.00 s",
        "5 say all stopped after 0.00 s; exit status 3",
    ]


def test_one_ends_while_the_next_is_being_started() -> None:
    web = child("web.1", exits_after=0.25, status=ExitStatus(code=3))

    assert told(web, child("worker.1"), spawn_takes=0.5) == [
        "0.5 spawn web.1 101",
        "0.5 say web.1 ready after 0.50 s (pid 101)",
        "1 spawn worker.1 102",
        "1 say worker.1 ready after 0.50 s (pid 102)",
        "1 say all 2 ready after 1.00 s",
        "1 say web.1 exited with status 3 after 1.00 s; stopping everything",
        "1 kill 102 SIGTERM",
        "1 say worker.1 stopped after 0.00 s",
        "1 say all stopped after 0.00 s; exit status 3",
    ]


# ---- the world itself: a fake that lies proves nothing ----


def test_a_run_that_nothing_would_ever_end_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="sleep for ever"):
        told(child("web.1"))


def test_waking_up_for_nothing_is_a_failure() -> None:
    class Restless(Supervisor):
        @property
        def deadline(self) -> float:
            return 1000.0

    world = World([child("web.1")])
    with pytest.raises(AssertionError, match="did nothing"):
        run(Restless([child("web.1").spec]), world)


def test_a_signal_that_was_not_declared_kills() -> None:
    web = child("web.1")
    world = World([web])
    pid = world.spawn("web.1")

    world.kill(pid, SIGUSR1, False)

    assert world.alive == []
