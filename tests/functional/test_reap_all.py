"""Children that are asked to end: no wait for any that has exited, and the rest are reported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from math import inf
from signal import SIGKILL, SIGTERM, Signals, pause
from typing import NoReturn

import pytest

from django_prodserver.posix import child
from django_prodserver.posix.clock import Clock
from django_prodserver.posix.signals import SignalPipe


class Watched(SignalPipe):
    """Fails if it would wait although there is nothing to wait for."""

    def wait(self, timeout: float | None) -> list[Signals]:
        raise AssertionError(f"it waits {timeout} s for nobody")


@pytest.fixture
def signals() -> Iterator[SignalPipe]:
    """Handles SIGTERM, so that a child does not get the handler of coverage.

    Python runs handlers between two instructions, so not for a signal just before a pause.
    """
    pipe = SignalPipe([Signals.SIGTERM])
    yield pipe
    pipe.close()


@pytest.fixture
def sleeper(signals: SignalPipe) -> Iterator[Callable[[], int]]:
    """Starts a child that exits on request; at the end none is left."""
    pids: list[int] = []

    def start() -> int:
        pids.append(child.fork(lambda: forever(signals), signals))
        return pids[-1]

    yield start
    for pid in filter(exists, pids):
        os.waitpid(pid, 0)


def test_a_child_that_has_exited_is_not_waited_for() -> None:
    pipe = Watched([])
    pid = child.fork(lambda: os._exit(0), pipe)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    assert child.reap_all([pid], Clock(), pipe, inf) == set()

    pipe.close()
    assert not exists(pid)


def test_a_child_that_was_already_reaped_is_not_waited_for() -> None:
    pipe = Watched([])
    pid = child.fork(lambda: os._exit(0), pipe)
    os.waitpid(pid, 0)

    assert child.reap_all([pid], Clock(), pipe, inf) == set()
    child.reap_or_kill([pid], Clock(), pipe, inf)

    pipe.close()


def test_a_child_that_exits_later_is_waited_for(
    signals: SignalPipe, sleeper: Callable[[], int]
) -> None:
    pid = sleeper()
    os.kill(pid, SIGTERM)

    assert child.reap_all([pid], Clock(), signals, inf) == set()
    assert not exists(pid)


def test_a_child_that_does_not_exit_in_time_is_reported(
    signals: SignalPipe, sleeper: Callable[[], int]
) -> None:
    clock = Clock()
    ending, stubborn = sleeper(), sleeper()
    os.kill(ending, SIGTERM)
    os.waitid(os.P_PID, ending, os.WEXITED | os.WNOWAIT)

    assert child.reap_all([ending, stubborn], clock, signals, clock.now()) == {stubborn}

    os.kill(stubborn, SIGKILL)
    assert child.reap_all([stubborn], clock, signals, inf) == set()


def forever(signals: SignalPipe) -> NoReturn:
    signals.reset_in_child()
    while True:
        pause()


def exists(pid: int) -> bool:
    """Whether the process exists; if it does, kill it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    os.kill(pid, SIGKILL)
    return True
