"""The supervisor's own lines and notifications. The lines are a contract: people and log searches
rely on them."""

from __future__ import annotations

from signal import Signals
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_prodserver.supervisor import report
from django_prodserver.supervisor.model import (
    Alive,
    AllFinished,
    AllReady,
    AllStopped,
    CancelProbe,
    Effect,
    ExitStatus,
    Kill,
    LastStep,
    Measure,
    Probe,
    SignalTaken,
    Spawn,
    StartProbe,
    State,
    StateChanged,
    StatusTold,
    StillRunning,
    Stopping,
    Unwell,
)


def changed(name: str, old: State, new: State, **more: Any) -> StateChanged:
    return StateChanged(name, old, new, **more)


def ended(old: State, status: ExitStatus, **more: Any) -> StateChanged:
    return changed("web.1", old, State.EXITED, pid=12, status=status, **more)


STARTING, RUNNING = State.STARTING, State.RUNNING
STOPPING, KILLING, FATAL = State.STOPPING, State.KILLING, State.FATAL
BY_SIGKILL, SEGV = ExitStatus(signal=9), ExitStatus(signal=11)


LINES: list[tuple[Effect, str]] = [
    (
        changed("web.1", STARTING, RUNNING, pid=12, after=0.15, ready=False),
        "web.1 ready after 0.15 s (pid 12)",
    ),
    (AllReady(2, after=0.61), "all 2 ready after 0.61 s"),
    (AllFinished(2, after=1.63), "all 2 finished after 1.63 s"),
    # Ends that nobody asked for: everything that is known.
    (
        changed(
            "worker.1",
            RUNNING,
            State.EXITED,
            status=ExitStatus(code=1),
            after=126.3,
            lasted=7.0,
            consequence="stopping everything",
        ),
        "worker.1 exited with status 1 after 126 s; stopping everything",
    ),
    (ended(RUNNING, SEGV, after=2.0), "web.1 was killed by SIGSEGV after 2.00 s"),
    (
        ended(RUNNING, ExitStatus(signal=40), after=2.0),
        "web.1 was killed by signal 40 after 2.00 s",
    ),
    (
        ended(RUNNING, BY_SIGKILL, after=2.0),
        "web.1 was killed by SIGKILL from outside after 2.00 s",
    ),
    (
        ended(RUNNING, BY_SIGKILL, after=2.0, out_of_memory=True),
        "web.1 was killed by SIGKILL (out of memory) after 2.00 s",
    ),
    (
        ended(RUNNING, BY_SIGKILL, after=2.0, out_of_memory=True, memory=530_400_000),
        "web.1 was killed by SIGKILL (out of memory, 530 MB when last seen) after 2.00 s",
    ),
    (
        # A worker of its was killed for want of memory, and it ended for want of a worker.
        ended(RUNNING, ExitStatus(code=3), after=2.0, out_of_memory=True),
        "web.1 exited with status 3 (out of memory) after 2.00 s",
    ),
    (
        ended(STARTING, ExitStatus(code=3), after=2.0, ready=False),
        "web.1 exited with status 3 after 2.00 s, before it was ready",
    ),
    (
        ended(RUNNING, ExitStatus(code=3), after=2.0, reason="No space left on device"),
        "web.1 exited with status 3 after 2.00 s, having said: No space left on device",
    ),
    (
        ended(RUNNING, ExitStatus(code=3), after=2.0, restarts=1),
        "web.1 exited with status 3 after 2.00 s, restarted once so far",
    ),
    (
        ended(RUNNING, ExitStatus(code=3), after=2.0, restarts=2),
        "web.1 exited with status 3 after 2.00 s, restarted 2 times so far",
    ),
    (
        ended(
            STARTING,
            BY_SIGKILL,
            after=2.0,
            ready=False,
            restarts=7,
            reason="STOPPING=1",
            out_of_memory=True,
            memory=1_400_000,
            consequence="restarting in 4.00 s",
        ),
        (
            "web.1 was killed by SIGKILL (out of memory, 1 MB when last seen) after 2.00 s, "
            "before it was ready, having said: STOPPING=1, restarted 7 times so far; "
            "restarting in 4.00 s"
        ),
    ),
    (
        # A oneshot cannot become ready.
        ended(STARTING, ExitStatus(code=3), after=2.0, consequence="stopping everything"),
        "web.1 exited with status 3 after 2.00 s; stopping everything",
    ),
    (
        ended(STARTING, ExitStatus(code=0), expected=True, after=60.0, lasted=0.5),
        "web.1 finished after 60.0 s",
    ),
    # Ends that were asked for.
    (
        ended(STOPPING, ExitStatus(signal=15), expected=True, after=60.0, lasted=0.5),
        "web.1 stopped after 0.50 s",
    ),
    (
        ended(STOPPING, ExitStatus(code=1), after=60.0, lasted=0.5),
        "web.1 exited with status 1 while stopping, after 0.50 s",
    ),
    (
        ended(STOPPING, ExitStatus(code=0), lasted=0.5, consequence="restarting in 0.50 s"),
        "web.1 exited with status 0 while stopping, after 0.50 s; restarting in 0.50 s",
    ),
    (
        ended(STOPPING, BY_SIGKILL, after=60.0, lasted=0.5),
        "web.1 was killed by SIGKILL while stopping, after 0.50 s",
    ),
    (ended(KILLING, BY_SIGKILL, after=60.0), "web.1 killed"),
    (
        ended(KILLING, BY_SIGKILL, consequence="restarting in 0.50 s"),
        "web.1 killed; restarting in 0.50 s",
    ),
    # What is done about it.
    (
        changed("web.1", RUNNING, STOPPING, reason="is unhealthy: no WATCHDOG=1 for 30 s"),
        "web.1 is unhealthy: no WATCHDOG=1 for 30 s; stopping it",
    ),
    (
        changed("web.1", STOPPING, KILLING, reason="did not stop within 25 s"),
        "web.1 did not stop within 25 s; killing it and its process group",
    ),
    (
        changed("web.1", STARTING, FATAL, reason="out of pids", consequence="stopping everything"),
        "web.1 could not be started: out of pids; stopping everything",
    ),
    (
        changed(
            "web.1",
            State.EXITED,
            FATAL,
            reason="5 starts in 60 s, its START_LIMIT",
            consequence="stopping everything",
        ),
        "web.1 failed for good: 5 starts in 60 s, its START_LIMIT; stopping everything",
    ),
    (
        Unwell("web.1", "connection refused", 1, 3),
        "web.1 failed a health check (1 of 3): connection refused",
    ),
    (StillRunning(("web.1",), 24.0), "still running: web.1; to be killed in 24.0 s"),
    (
        StillRunning(("web.1", "worker.1"), 0.5),
        "still running: web.1, worker.1; to be killed in 0.50 s",
    ),
    (LastStep("worker.1", Signals.SIGQUIT), "worker.1 is still running; sending it SIGQUIT"),
    (
        SignalTaken(Signals.SIGTERM, "stopping everything"),
        "SIGTERM received; stopping everything",
    ),
    (AllStopped(130, after=2.41), "all stopped after 2.41 s; exit status 130"),
]


@pytest.mark.parametrize(("effect", "line"), LINES, ids=[line for _, line in LINES])
def test_a_line_of_the_log(effect: Effect, line: str) -> None:
    assert report.line(effect) == line


SILENT: list[Effect] = [
    Spawn("web.1"),
    Kill(12, Signals.SIGTERM),
    StartProbe(12, Probe.HEALTH),
    CancelProbe(12),
    Measure(12),
    StatusTold("web.1", "4 tasks"),
    Stopping(),
    Alive(),
    changed("web.1", State.STOPPED, STARTING),
    changed("web.1", State.STOPPED, State.WAITING),
    changed("web.1", State.WAITING, STARTING),
    changed("web.1", State.WAITING, State.STOPPED),
    changed("web.1", State.EXITED, State.BACKOFF),  # The line about the end says how long.
    changed("web.1", State.BACKOFF, STARTING),
    changed("web.1", State.BACKOFF, State.STOPPED),
    changed("web.1", RUNNING, STOPPING),
    changed("web.1", STOPPING, KILLING),  # By a second signal, which has a line of its own.
]


@pytest.mark.parametrize("effect", SILENT, ids=str)
def test_what_nobody_needs_to_read_has_no_line(effect: Effect) -> None:
    assert report.line(effect) is None


def test_every_effect_has_a_line_or_none() -> None:
    assert {type(effect) for effect in [*SILENT, *(effect for effect, _ in LINES)]} == set(
        get_args(Effect)
    )


# ---- what a service manager is told ----

NOTIFICATIONS: list[tuple[Effect, str]] = [
    (AllReady(2, after=0.61), "READY=1\nSTATUS=all 2 ready after 0.61 s"),
    (AllFinished(2, after=1.63), "READY=1\nSTATUS=all 2 finished after 1.63 s"),
    (Stopping(), "STOPPING=1"),
    (Alive(), "WATCHDOG=1"),
    (StatusTold("web.1", "4 tasks"), "STATUS=web.1: 4 tasks"),
]


@pytest.mark.parametrize(
    ("effect", "message"), NOTIFICATIONS, ids=[type(effect).__name__ for effect, _ in NOTIFICATIONS]
)
def test_a_notification(effect: Effect, message: str) -> None:
    assert report.notification(effect) == message


@pytest.mark.parametrize(
    ("effect", "line"),
    [row for row in LINES if not isinstance(row[0], (AllReady, AllFinished))],
    ids=[line for effect, line in LINES if not isinstance(effect, (AllReady, AllFinished))],
)
def test_each_line_of_the_log_is_the_status_for_the_time_being(effect: Effect, line: str) -> None:
    assert report.notification(effect) == f"STATUS={line}"


@pytest.mark.parametrize(
    "effect",
    [e for e in SILENT if not isinstance(e, (StatusTold, Stopping, Alive))],
    ids=str,
)
def test_what_nobody_needs_to_read_is_not_told_either(effect: Effect) -> None:
    assert report.notification(effect) is None


def test_only_what_is_ready_as_a_whole_says_so() -> None:
    alone = report.notification(changed("web.1", STARTING, RUNNING, pid=12, after=0.15))

    assert alone == "STATUS=web.1 ready after 0.15 s (pid 12)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00 s"),
        (0.15, "0.15 s"),
        (9.994, "9.99 s"),
        (9.996, "10.0 s"),
        (12.34, "12.3 s"),
        (99.94, "99.9 s"),
        (99.96, "100 s"),
        (126.2, "126 s"),
        (2_592_000.0, "2592000 s"),
    ],
)
def test_seconds_have_three_digits(value: float, text: str) -> None:
    assert report.seconds(value) == text


@given(st.floats(min_value=0, max_value=1e9))
@example(9.995)
@example(99.95)
def test_seconds_have_three_digits_or_are_whole_and_round_correctly(value: float) -> None:
    number, unit = report.seconds(value).split(" ")
    whole, _, fraction = number.partition(".")

    assert unit == "s"
    assert len(whole + fraction) == 3 or (not fraction and len(whole) > 3)
    assert abs(float(number) - value) <= 0.5 * 10 ** -len(fraction) + 1e-9
