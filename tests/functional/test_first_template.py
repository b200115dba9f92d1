"""Before there is a plan: what happens to a first template, and to signals meanwhile."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM
from typing import Callable

import pytest

from django_prodserver.posix import main
from django_prodserver.posix.log_formats import LogSettings
from django_prodserver.posix.signals import SignalPipe
from django_prodserver.posix.template.channel import Channel, pair
from django_prodserver.posix.template.handover import Command
from django_prodserver.posix.template.plan import Plan
from django_prodserver.posix.template.protocol import VERSION
from django_prodserver.posix.template.templates import First
from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.signals import HANDLED, STOP_SIGNALS

pytestmark = [
    pytest.mark.template,
    pytest.mark.skipif(sys.platform != "linux", reason="templates take a subreaper"),
]

LOG = LogSettings("text", False, "never", "merge", 100)
PLAN = Plan((), {}, LOG, {}, "3", "4", "site.settings", False, 0.0, 0.0)
Begin = Callable[[Callable[[Channel], object]], First]


@pytest.fixture
def signals() -> Iterator[SignalPipe]:
    pipe = SignalPipe(HANDLED)
    yield pipe
    pipe.close()


@pytest.fixture
def begin(signals: SignalPipe, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Fork a first template that calls `do` with its channel; at the end it has been reaped."""
    monkeypatch.setattr(main, "END_WITHIN", 0.2)
    begun: list[First] = []

    def begin(do: Callable[[Channel], object]) -> First:
        ours, theirs = pair()
        pid = os.fork()
        if pid == 0:
            try:
                signals.reset_in_child()
                ours.close()
                do(Channel(theirs))
            finally:
                os._exit(0)
        theirs.close()
        begun.append(First(Channel(ours), pid, Command((), "/", {}), "run"))
        return begun[-1]

    yield begin
    for first in begun:
        first.channel.close()
        with pytest.raises(ChildProcessError):
            os.waitpid(first.pid, 0)


def says(channel: Channel, *messages: object) -> None:
    for message in messages:
        channel.send(*message if isinstance(message, tuple) else (message,))


def wait(first: First, signals: SignalPipe) -> object:
    return main._wait_for_plan(first, signals, STOP_SIGNALS)


def test_waiting_for_a_first_template_returns_its_plan(signals: SignalPipe, begin: Begin) -> None:
    first = begin(lambda channel: says(channel, ("protocol", VERSION), ("plan", PLAN)))

    assert wait(first, signals) == PLAN
    os.waitpid(first.pid, 0)


@pytest.mark.parametrize("status", [0, 1, 3])
def test_a_template_that_exits_without_a_plan_decides_the_status(
    signals: SignalPipe, begin: Begin, status: int
) -> None:
    assert wait(begin(lambda channel: os._exit(status)), signals) == status


def test_a_killed_template_is_reported_with_its_signal(signals: SignalPipe, begin: Begin) -> None:
    first = begin(lambda channel: os.kill(os.getpid(), SIGKILL))

    assert wait(first, signals) == ExitStatus(signal=SIGKILL)


def test_a_template_that_closes_its_channel_is_killed(signals: SignalPipe, begin: Begin) -> None:
    first = begin(lambda channel: (channel.close(), signal.pause()))

    assert wait(first, signals) == ExitStatus(signal=SIGKILL)


@pytest.mark.parametrize(("asked", "status"), [(SIGTERM, 0), (SIGINT, 130)])
@pytest.mark.parametrize("deaf", [False, True])
def test_a_stop_signal_ends_a_template_even_if_it_ignores_sigterm(
    signals: SignalPipe, begin: Begin, asked: signal.Signals, status: int, deaf: bool
) -> None:
    here, told = os.pipe()

    def load(channel: Channel) -> None:
        if deaf:
            signal.signal(SIGTERM, signal.SIG_IGN)
        os.write(told, b".")
        while True:
            signal.pause()

    first = begin(load)
    os.read(here, 1)
    os.kill(os.getpid(), asked)

    assert wait(first, signals) == status
    os.close(here)
    os.close(told)


def test_sighup_before_the_plan_arrives_is_ignored(signals: SignalPipe, begin: Begin) -> None:
    here, told = os.pipe()

    def load(channel: Channel) -> None:
        os.read(here, 1)
        says(channel, ("plan", PLAN))

    first = begin(load)
    os.kill(os.getpid(), SIGHUP)
    os.write(told, b".")

    assert wait(first, signals) == PLAN
    os.waitpid(first.pid, 0)
    os.close(here)
    os.close(told)
