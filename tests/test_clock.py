"""The clock leaves out the time in which everything was frozen."""

from __future__ import annotations

from typing import Callable, Optional

import pytest

from django_prodserver.posix.clock import LONGEST_SLEEP, TOLERANCE, Clock


class Hands:
    """A clock that always goes on."""

    def __init__(self) -> None:
        self.at = 1000.0

    def read(self) -> float:
        return self.at

    def sleeping(self, seconds: float) -> Callable[[Optional[float]], Optional[float]]:
        """A sleep that takes `seconds`, whatever the timeout is; it returns the timeout."""

        def wait(timeout: Optional[float]) -> Optional[float]:
            self.at += seconds
            return timeout

        return wait


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def clock(hands: Hands) -> Clock:
    return Clock(hands.read)


def test_the_clock_counts_sleeps_and_work(clock: Clock, hands: Hands) -> None:
    assert clock.now() == 1000.0
    clock.sleep(hands.sleeping(0.75), 0.75)
    hands.at += 0.25

    assert clock.now() == 1001.0


def test_a_sleep_cut_short_by_an_event_counts_with_its_actual_length(
    clock: Clock, hands: Hands
) -> None:
    clock.sleep(hands.sleeping(0.125), 60.0)

    assert clock.now() == 1000.125


def test_a_sleep_that_is_a_little_late_counts(clock: Clock, hands: Hands) -> None:
    clock.sleep(hands.sleeping(0.5 + TOLERANCE), 0.5)

    assert clock.now() == 1000.5 + TOLERANCE


@pytest.mark.parametrize("frozen", [2.0, 6.0, 86400.0])
def test_a_sleep_with_a_freeze_in_it_does_not_count(
    clock: Clock, hands: Hands, frozen: float
) -> None:
    clock.sleep(hands.sleeping(0.5 + frozen), 0.5)

    assert clock.now() == 1000.0
    clock.sleep(hands.sleeping(0.5), 0.5)
    assert clock.now() == 1000.5


def test_a_freeze_is_detected_in_a_sleep_that_an_event_cut_short(
    clock: Clock, hands: Hands
) -> None:
    clock.sleep(hands.sleeping(6.0), 60.0)

    assert clock.now() == 1000.0


def test_a_freeze_between_two_sleeps_does_not_count(clock: Clock, hands: Hands) -> None:
    clock.sleep(hands.sleeping(0.25), 0.25)
    hands.at += 6.0
    clock.sleep(hands.sleeping(0.25), 0.25)

    assert clock.now() == 1000.5


def test_several_freezes_are_all_left_out(clock: Clock, hands: Hands) -> None:
    for _ in range(3):
        hands.at += 6.0
        clock.sleep(hands.sleeping(7.0), 0.5)
        clock.sleep(hands.sleeping(0.5), 0.5)

    assert clock.now() == 1001.5


def test_a_sleep_without_a_timeout_always_counts_in_full(clock: Clock, hands: Hands) -> None:
    assert clock.sleep(hands.sleeping(86400.0), None) is None

    assert clock.now() == 87400.0


@pytest.mark.parametrize(("timeout", "asked"), [(0.0, 0.0), (0.25, 0.25), (60.0, LONGEST_SLEEP)])
def test_a_sleep_with_a_timeout_is_limited_to_the_longest_sleep(
    clock: Clock, hands: Hands, timeout: float, asked: float
) -> None:
    assert clock.sleep(hands.sleeping(asked), timeout) == asked


def test_waits_still_end_on_a_machine_where_every_sleep_takes_too_long(
    clock: Clock, hands: Hands
) -> None:
    for _ in range(11):
        clock.sleep(hands.sleeping(5.0), 0.5)
        clock.now()

    assert clock.now() == 1005.0


def test_the_clock_never_goes_backwards(clock: Clock, hands: Hands) -> None:
    seen = [clock.now()]
    for seconds in (0.0, 0.5, 1.5, 2.5, 6.0, 0.25):
        clock.sleep(hands.sleeping(seconds), 0.5)
        seen.append(clock.now())
        hands.at += seconds
        seen.append(clock.now())

    assert seen == sorted(seen)
