"""The loop: long work runs alongside everything else."""

from __future__ import annotations

import itertools
import os
import selectors
import signal
import time
from collections.abc import Iterator

import pytest

from django_prodserver.posix.clock import Clock
from django_prodserver.posix.loop import Loop
from django_prodserver.posix.signals import SignalPipe, handled
from django_prodserver.supervisor.events import Signalled


@pytest.fixture
def loop() -> Iterator[Loop]:
    signals = SignalPipe(handled())
    loop = Loop(Clock(), signals, lambda: None, lambda: None)
    yield loop
    loop.close()
    signals.close()


def test_endless_work_delays_neither_signals_nor_pipes(loop: Loop) -> None:
    reader, writer = os.pipe()
    heard: list[bytes] = []
    loop.selector.register(reader, selectors.EVENT_READ, lambda: heard.append(os.read(reader, 9)))
    steps = itertools.count()
    loop.work(steps)
    loop.wait(0.001)
    os.write(writer, b"line")
    signal.raise_signal(signal.SIGTERM)

    assert loop.wait(None) == [Signalled(signal.SIGTERM)]
    assert heard == [b"line"]
    assert next(steps) > 0
    for fd in (reader, writer):
        os.close(fd)


def test_work_is_done_in_order_and_the_loop_sleeps_again(loop: Loop) -> None:
    done: list[str] = []
    loop.work(map(done.append, "ab"))
    loop.work(map(done.append, "c"))
    began = time.process_time()

    assert loop.wait(0.3) == []
    assert done == ["a", "b", "c"]
    assert time.process_time() - began < 0.1


def test_work_can_schedule_more_work_before_it_ends(loop: Loop) -> None:
    done: list[str] = []

    def first() -> Iterator[None]:
        yield
        loop.work(map(done.append, ["more"]))

    loop.work(first())
    loop.wait(0.01)

    assert done == ["more"]
