"""The supervisor's own lines. They are a contract: people and log searches rely on them."""

from __future__ import annotations

from signal import Signals
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_prodserver.supervisor import report
from django_prodserver.supervisor.model import (
    AllReady,
    AllStopped,
    Effect,
    ExitStatus,
    Kill,
    SignalTaken,
    Spawn,
    State,
    StateChanged,
)


def changed(name: str, old: State, new: State, **more: Any) -> StateChanged:
    return StateChanged(name, old, new, **more)


def ended(old: State, status: ExitStatus, **more: Any) -> StateChanged:
    return changed("web.1", old, State.EXITED, pid=12, status=status, **more)


STARTING, RUNNING = State.STARTING, State.RUNNING
STOPPING, KILLING, FATAL = State.STOPPING, State.KILLING, State.FATAL
BY_SIGKILL = ExitStatus(signal=9)


@pytest.mark.parametrize(
    ("effect", "line"),
    [
        (
            changed("web.1", STARTING, RUNNING, pid=12, after=0.15),
            "web.1 ready after 0.15 s (pid 12)",
        ),
        (AllReady(2, after=0.61), "all 2 ready after 0.61 s"),
        (
            changed(
                "worker.1",
                RUNNING,
                State.EXITED,
                status=ExitStatus(code=1),
                after=126.3,
                lasted=7.0,
                detail="stopping everything",
            ),
            "worker.1 exited with status 1 after 126 s; stopping everything",
        ),
        (
            ended(RUNNING, ExitStatus(signal=11), after=2.0),
            "web.1 was killed by SIGSEGV after 2.00 s",
        ),
        (
            ended(STARTING, ExitStatus(signal=40), after=2.0),
            "web.1 was killed by signal 40 after 2.00 s",
        ),
        (
            ended(RUNNING, BY_SIGKILL, after=2.0),
            "web.1 was killed by SIGKILL from outside after 2.00 s",
        ),
        (
            ended(STOPPING, ExitStatus(signal=15), expected=True, after=60.0, lasted=0.5),
            "web.1 stopped after 0.50 s",
        ),
        (
            ended(STOPPING, ExitStatus(code=1), after=60.0, lasted=0.5),
            "web.1 exited with status 1 while stopping, after 0.50 s",
        ),
        (
            ended(STOPPING, BY_SIGKILL, after=60.0, lasted=0.5),
            "web.1 was killed by SIGKILL while stopping, after 0.50 s",
        ),
        (ended(KILLING, BY_SIGKILL, after=60.0), "web.1 killed"),
        (
            changed("web.1", STOPPING, KILLING, detail="did not stop within 25 s"),
            "web.1 did not stop within 25 s; killing it and its process group",
        ),
        (
            changed("web.1", STARTING, FATAL, detail="out of pids; stopping everything"),
            "web.1 could not be started: out of pids; stopping everything",
        ),
        (
            SignalTaken(Signals.SIGTERM, "stopping everything"),
            "SIGTERM received; stopping everything",
        ),
        (AllStopped(130, after=2.41), "all stopped after 2.41 s; exit status 130"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_line_of_the_log(effect: Effect, line: str) -> None:
    assert report.line(effect) == line


@pytest.mark.parametrize(
    "effect",
    [
        Spawn("web.1"),
        Kill(12, Signals.SIGTERM),
        changed("web.1", State.STOPPED, STARTING),
        changed("web.1", RUNNING, STOPPING),
        changed("web.1", STOPPING, KILLING),  # by a second signal, which has a line of its own
    ],
    ids=lambda effect: type(effect).__name__,
)
def test_what_nobody_needs_to_read_has_no_line(effect: Effect) -> None:
    assert report.line(effect) is None


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
