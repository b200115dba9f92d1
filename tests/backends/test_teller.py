"""How in-flight work is worded, and when it is reported."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from typing import Optional

import pytest

from django_prodserver.backends.hooks.in_flight import EVERY, Board, Count, Reporter, Running, text
from django_prodserver.posix.notify import NotifySocket
from django_prodserver.supervisor.events import Notified
from django_prodserver.supervisor.spec import Ref
from tests.running import not_measured

REF = Ref("worker.1", 0, 1)


@pytest.mark.parametrize(
    ("number", "oldest", "said"),
    [
        (3, 14.0, "3 requests, oldest 14 s"),
        (2, 0.9, "2 requests, oldest 0 s"),
        (1, 126.7, "1 request, oldest 126 s"),
        (1, -0.1, "1 request, oldest 0 s"),
        (3, None, "3 requests"),
        (1, None, "1 request"),
        (0, None, "no requests"),
    ],
)
def test_in_flight_work_is_worded_with_its_count_and_oldest_age(
    number: int, oldest: Optional[float], said: str
) -> None:
    assert text("request", number, oldest) == said


@pytest.fixture(name="listener")
def listener_fixture(monkeypatch: pytest.MonkeyPatch) -> Iterator[NotifySocket]:
    listener = NotifySocket()
    monkeypatch.setenv("NOTIFY_SOCKET", listener.address)
    yield listener
    listener.close()


def heard(listener: NotifySocket) -> list[str]:
    """Return the statuses received so far; wait for the first."""
    select.select([listener], [], [])
    messages = listener.receive(REF, os.getsid(0))
    return [one.status or "" for one in messages if isinstance(one, Notified)]


class Scene:
    """A clock and a count of in-flight tasks, both set by the test."""

    def __init__(self, board: Optional[Board] = None) -> None:
        self.now = 100.0
        self.counted = Count(0)
        self.reporter = Reporter("task", lambda: self.counted, board, lambda: self.now)

    def report(self, now: float, *counted: float) -> None:
        self.now, self.counted = now, Count(len(counted), max(counted, default=None))
        self.reporter.report()


def test_in_flight_work_is_reported_at_once_then_on_changes_at_a_limited_rate(
    listener: NotifySocket,
) -> None:
    scene = Scene()
    scene.report(100.0, 14.2, 3.0)
    scene.report(100.0 + EVERY / 2, 14.6)
    scene.report(101.0, 14.9, 3.8)
    scene.report(102.0, 15.9)
    scene.report(103.0)
    scene.report(104.0)

    assert heard(listener) == ["2 tasks, oldest 14 s", "1 task, oldest 15 s", "no tasks"]


def test_an_error_while_counting_tasks_skips_only_that_report(listener: NotifySocket) -> None:
    counts = iter([RuntimeError("Set changed size during iteration"), None])

    def count() -> Count:
        error = next(counts)
        if error is not None:
            raise error
        return Count(1, 2.0)

    reporter = Reporter("task", count)
    reporter.report()
    reporter.report()

    assert heard(listener) == ["1 task, oldest 2 s"]


def test_without_a_notify_socket_in_flight_work_is_not_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    reporter = Reporter("task", lambda: pytest.fail("nobody wants to know"))

    reporter.start_reporting()

    assert not reporter.is_reporting


def test_tasks_that_have_started_and_not_ended_are_counted_as_running() -> None:
    running = Running()
    with running.one(), running.one():
        assert running.count().number == 2
        running.began("one")
        assert running.count().number == 3
    running.ended("one")
    running.ended("never begun")

    assert running.count() == Count(0)


def test_a_task_that_raises_is_no_longer_counted_as_running() -> None:
    running = Running()
    with pytest.raises(ZeroDivisionError), running.one():
        1 / 0  # noqa: B018

    assert running.count() == Count(0)


def hold(board: Board, since: float, begun: object, go_on: object) -> None:
    """In another process, put a task on the board and wait."""
    board.write(2, since)
    begun.set()  # type: ignore[attr-defined]
    go_on.wait()  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_board_counts_the_in_flight_tasks_of_all_live_processes(method: str) -> None:
    context = get_context(method)  # As libraries start their workers.
    board, begun, go_on = Board(), context.Event(), context.Event()
    running = Running(board)
    child = context.Process(target=hold, args=(board, 1.0, begun, go_on))
    child.start()
    begun.wait()
    with running.one():
        both = board.count()
    child.kill()
    child.join()

    assert both.number == 3
    assert (both.oldest or 0) > 0
    assert board.count() == Count(0)


def test_only_one_process_sharing_a_board_reports_in_each_interval(listener: NotifySocket) -> None:
    board = Board()
    first, second = Scene(board), Scene(board)
    first.report(100.0, 3.0)
    second.report(100.1, 3.1)
    second.report(101.1, 4.1)
    first.report(101.2, 4.2)

    assert heard(listener) == ["1 task, oldest 3 s", "1 task, oldest 4 s"]


def test_the_report_thread_runs_while_the_main_thread_waits_and_blocks_signals(
    listener: NotifySocket,
) -> None:
    """SIGUSR1 would kill the process if the thread did not block it."""
    program = """
import os, signal, sys
from django_prodserver.backends.hooks import in_flight
from django_prodserver.posix import stop_signals

def stop(*_): ...
signal.signal(signal.SIGTERM, stop)
running = in_flight.Running()
in_flight.report_after_stop_signal("job", running.count)
stop_signals.count_as_one()
with running.one():
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    print("waiting", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-W", "error", "-c", program]
    said: list[str] = []
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=not_measured(), **pipes) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"waiting\n"
        while len(said) < 2:
            said += heard(listener)
        child.send_signal(signal.SIGUSR1)

    assert child.returncode == 0
    assert said[0] == "1 job, oldest 0 s"
    assert said[1].startswith("1 job, oldest")
