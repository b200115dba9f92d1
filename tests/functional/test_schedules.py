"""When a scheduled process runs next."""

from __future__ import annotations

from datetime import datetime
from signal import SIGTERM
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from django_prodserver.posix.program import Program
from django_prodserver.posix.schedules import MANY, Schedule
from tests.running import Runs

BERLIN = "Europe/Berlin"
HOUR, DAY = 3600.0, 24 * 3600.0


class At:
    """A clock that the test sets."""

    def __init__(self, moment: float) -> None:
        self.moment = moment

    def __call__(self) -> float:
        return self.moment


def on(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN)).timestamp()


def cron(expression: str, moment: str) -> tuple[Schedule, At]:
    clock = At(on(moment))
    return Schedule(Program("x", cron=expression, zone=BERLIN), clock), clock


def every(seconds: float) -> tuple[Schedule, At]:
    clock = At(1000.0)
    return Schedule(Program("x", every=seconds), clock), clock


def test_an_interval_starts_with_the_first_plan_and_counts_from_start_to_start() -> None:
    schedule, clock = every(10.0)

    assert schedule.plan(ended=False) == (10.0, 0)
    clock.moment += 10.0
    assert schedule.plan(ended=False) == (0.0, 0)
    clock.moment += 3.0
    assert schedule.plan(ended=True) == (7.0, 0)


def test_runs_that_fall_due_during_a_run_are_skipped_and_counted() -> None:
    schedule, clock = every(10.0)
    clock.moment += 10.0
    schedule.plan(ended=False)

    clock.moment += 25.0

    assert schedule.plan(ended=True) == (5.0, 2)


def test_missed_runs_are_replaced_by_one_run_at_once() -> None:
    """For example, because the machine was asleep."""
    schedule, clock = every(10.0)

    clock.moment += 35.0

    assert schedule.plan(ended=False) == (0.0, 2)
    assert schedule.plan(ended=True) == (5.0, 0)


def test_a_run_that_started_slightly_early_is_not_repeated() -> None:
    schedule, clock = every(10.0)
    schedule.plan(ended=False)

    clock.moment += 9.99

    assert schedule.plan(ended=True) == (pytest.approx(10.01), 0)


def test_a_run_on_request_does_not_change_the_schedule() -> None:
    schedule, clock = every(10.0)
    schedule.plan(ended=False)

    clock.moment += 5.0

    assert schedule.plan(ended=True) == (5.0, 0)


def test_a_clock_jump_of_years_counts_a_limited_number_of_missed_runs() -> None:
    schedule, clock = cron("* * * * *", "2026-11-27 12:00")

    clock.moment += 20 * 365 * DAY

    assert schedule.plan(ended=True)[1] == MANY
    assert 0.0 < schedule.plan(ended=False)[0] <= 60.0


def test_a_run_is_not_repeated_when_the_clock_is_set_back() -> None:
    schedule, clock = cron("30 3 * * *", "2026-11-27 03:00")
    clock.moment = on("2026-11-27 03:30")
    assert schedule.plan(ended=False) == (0.0, 0)
    schedule.plan(ended=True)

    clock.moment = on("2026-11-27 03:00")

    assert schedule.plan(ended=False) == (DAY + HOUR / 2, 0)


NIGHTS = {
    "an ordinary night": ("30 3 * * *", "2026-11-27 12:00", "2026-11-28 03:30"),
    "the night without 02:30": ("30 2 * * *", "2026-03-28 12:00", "2026-03-29 03:00"),
    "the night with two of them": ("30 2 * * *", "2026-10-24 12:00", "2026-10-25 02:30"),
    "a day of the week": ("0 9 * * 1", "2026-11-27 12:00", "2026-11-30 09:00"),
    "the last day of a month": ("0 0 L * *", "2026-11-27 12:00", "2026-11-30 00:00"),
    "a leap day": ("0 0 29 2 *", "2026-11-27 12:00", "2028-02-29 00:00"),
}


@pytest.mark.parametrize("night", NIGHTS)
def test_a_cron_expression_follows_local_time_across_clock_changes(night: str) -> None:
    expression, now, then = NIGHTS[night]
    schedule, clock = cron(expression, now)

    assert schedule.plan(ended=False) == (on(then) - clock.moment, 0)


def test_a_daily_run_happens_once_in_the_repeated_hour_of_a_clock_change() -> None:
    schedule, clock = cron("30 2 * * *", "2026-10-24 12:00")
    clock.moment += schedule.plan(ended=False)[0]
    schedule.plan(ended=False)

    assert schedule.plan(ended=True) == (DAY + HOUR, 0)


# ---- under a supervisor ----


def again(*words: str, **entry: Any) -> dict[str, Any]:
    return {"BACKEND": "shell", "ARGS": ["sh", "-c", *words], "TYPE": "oneshot", **entry}


def test_a_scheduled_process_runs_repeatedly(start: Runs) -> None:
    run = start(
        {
            "tick": again("echo tick", EVERY="1s"),
            "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
        }
    )

    run.wait_for("system", "all 2 ready")
    for _ in range(3):
        run.wait_for("tick.1", "tick")
        run.wait_for("system", "tick.1 finished")
    assert run.end(SIGTERM) == 0


def test_a_failed_scheduled_run_does_not_stop_the_supervisor(start: Runs) -> None:
    run = start({"tick": again("exit 3", EVERY=1)})

    for _ in range(2):
        run.wait_for("system", "tick.1 exited with status 3 after .*; waiting for its next run")
    assert run.end(SIGTERM) == 0


def test_a_scheduled_process_never_runs_twice_at_the_same_time(start: Runs) -> None:
    run = start({"tick": again("echo begins; sleep 2.5; echo ends", EVERY=1)})

    run.wait_for("tick.1", "begins")
    run.wait_for("system", "tick.1: 2 runs left out")
    run.wait_for("tick.1", "begins")
    assert run.said("tick.1")[:3] == ["begins", "ends", "begins"]
    assert run.end(SIGTERM) == 0


def test_a_scheduled_process_run_alone_runs_once(start: Runs) -> None:
    run = start({"tick": again("echo tick", EVERY="1h")}, "tick")

    assert run.end() == 0
    assert run.raw == ["tick"]


def test_a_run_of_only_oneshots_leaves_out_scheduled_processes(start: Runs) -> None:
    processes = {"tick": again("echo tick", EVERY="1h"), "once": again("echo once")}
    run = start(processes, "--all", "--only-type", "oneshot", "--no-timestamps")

    assert run.end() == 0
    assert run.said("once.1") == ["once"]
    assert run.said("tick.1") == []
