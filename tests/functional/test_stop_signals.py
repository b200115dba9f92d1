"""Stop signals soon after the first one are ignored, whatever handlers a program has for them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any, Optional

import pytest

from django_prodserver.posix import stop_signals
from django_prodserver.posix.stop_signals import count_as_one, handle

Frame = Optional[FrameType]


@pytest.fixture(autouse=True)
def former_handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stop_signals, "_first", None)
    before = {number: signal.getsignal(number) for number in stop_signals.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(name="heard")
def heard_fixture() -> list[str]:
    """The signals that a worker's handlers received; the first one installs other handlers."""
    heard: list[str] = []

    def drop(number: int, frame: Frame) -> None:
        heard.append(f"drop at {signal.Signals(number).name}")

    def stop(number: int, frame: Frame) -> None:
        heard.append(f"stop at {signal.Signals(number).name}")
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(one, drop)

    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(one, stop)
    return heard


def test_only_the_first_of_several_stop_signals_is_handled(heard: list[str]) -> None:
    count_as_one()

    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.raise_signal(number)

    assert heard == ["stop at SIGTERM"]


def test_stop_signals_after_the_window_reach_the_handlers_of_the_program(
    heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    count_as_one()
    signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr(stop_signals, "WINDOW", 0.0)

    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)

    assert heard == ["stop at SIGINT", "drop at SIGTERM", "drop at SIGINT"]


def test_a_signal_that_is_not_counted_as_a_stop_signal_is_always_handled(heard: list[str]) -> None:
    count_as_one({signal.SIGTERM, signal.SIGINT})

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.raise_signal(number)

    assert heard == ["stop at SIGTERM", "drop at SIGQUIT"]


def test_a_stop_signal_counts_as_handled_even_if_its_handler_raises() -> None:
    def leave(number: int, frame: Frame) -> None:
        raise SystemExit(number)

    signal.signal(signal.SIGTERM, leave)
    count_as_one()
    count_as_one()

    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)


def test_ignored_signals_and_default_actions_are_left_unchanged() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    count_as_one()

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def ours(number: int, frame: object) -> None: ...


def theirs(number: int, frame: object) -> None: ...


@pytest.mark.parametrize("there", [signal.SIG_DFL, signal.default_int_handler])
def test_a_signal_with_its_default_handler_gets_a_new_handler(there: Any) -> None:
    signal.signal(signal.SIGINT, there)

    handle(signal.SIGINT, ours)

    assert signal.getsignal(signal.SIGINT) is ours


@pytest.mark.parametrize("there", [signal.SIG_IGN, theirs])
def test_a_handled_or_ignored_signal_keeps_its_handler(there: Any) -> None:
    signal.signal(signal.SIGTERM, there)

    handle(signal.SIGTERM, ours)

    assert signal.getsignal(signal.SIGTERM) is there
