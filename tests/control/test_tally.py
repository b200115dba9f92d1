"""The tally: facts in, counts out."""

from __future__ import annotations

from signal import SIGKILL

import pytest

from django_prodserver.control.tally import Tally
from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.facts import (
    CheckFailed,
    ChecksFailed,
    Ended,
    Fact,
    Fault,
    LifeState,
    Lost,
    NotReady,
    Reloaded,
    ReloadFailed,
    RenewalFailed,
    Renewed,
    Restart,
    StartRefused,
    StopEverything,
    Stopping,
    TooMuchMemory,
    Updated,
    WatchdogSilent,
    WatchdogTriggered,
)
from django_prodserver.supervisor.hints import Any
from django_prodserver.supervisor.spec import Ref

WEB = Ref("web.1", 0, 1)
AGAIN = Restart(1.0)


def ended(status: ExitStatus, **more: Any) -> Ended:
    return Ended(WEB, LifeState.RUNNING, status, **more)


def tally(*facts: Fact) -> Tally:
    counted = Tally()
    for fact in facts:
        counted.observe(fact)
    return counted


@pytest.mark.parametrize(
    ("fact", "status"),
    [
        (ended(ExitStatus(code=0), expected=True), "0"),
        (ended(ExitStatus(code=3), consequence=StopEverything()), "3"),
        (ended(ExitStatus(signal=SIGKILL), consequence=AGAIN), "SIGKILL"),
    ],
)
def test_exits_are_counted_by_exit_status_or_signal(fact: Fact, status: str) -> None:
    assert tally(fact, fact).exits == {("web.1", status): 2}


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ([ended(ExitStatus(code=1), consequence=AGAIN)], "exit"),
        ([ended(ExitStatus(signal=SIGKILL), out_of_memory=True, consequence=AGAIN)], "oom"),
        ([StartRefused("web.1", "no memory", AGAIN)], "exit"),
        ([Lost(WEB, 5.0, AGAIN)], "exit"),
    ],
)
def test_restarts_are_counted_by_reason(facts: list[Fact], reason: str) -> None:
    assert tally(*facts).restarts == {("web.1", reason): 1}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (NotReady(60.0), "unhealthy"),
        (ChecksFailed("503", 3), "unhealthy"),
        (WatchdogSilent(5.0), "watchdog"),
        (WatchdogTriggered(), "watchdog"),
        (TooMuchMemory(2, 1), "memory"),
    ],
)
def test_a_restart_after_a_fault_is_counted_by_that_fault(fault: Fault, reason: str) -> None:
    exit = ended(ExitStatus(code=0), consequence=AGAIN)

    counted = tally(Stopping(WEB, fault), exit, exit)

    # The reason is that of one life: the next one has exited by itself.
    assert counted.restarts == {("web.1", reason): 1, ("web.1", "exit"): 1}


def test_requested_restarts_and_final_failures_are_not_counted_as_restarts() -> None:
    counted = tally(
        Stopping(WEB),
        ended(ExitStatus(code=0), expected=True, consequence=AGAIN),
        ended(ExitStatus(code=1), consequence=StopEverything()),
        StartRefused("web.1", "no memory", StopEverything()),
    )

    assert counted.restarts == {}


def test_finished_replacements_are_counted_by_operator_or_reload() -> None:
    counted = tally(
        Updated("web.1", replaced=True),
        Updated("web.1", replaced=False),
        Renewed("web.1", renewed=True),
        Renewed("web.1", renewed=True),
        Renewed("web.1", renewed=False),
    )

    assert counted.replacements == {("web.1", "operator"): 1, ("web.1", "reload"): 2}


def test_the_last_failed_health_check_is_counted_too() -> None:
    failed = CheckFailed(WEB, "503", 1, 2)

    counted = tally(failed, Stopping(WEB, ChecksFailed("503", 2)))

    assert counted.failed_checks == {"web.1": 2}


def test_reloads_are_counted_by_outcome() -> None:
    counted = tally(
        Reloaded(1, 0.5),
        ReloadFailed(2, "SyntaxError"),
        ReloadFailed(3, RenewalFailed("web.1"), rolled_back=True),
        ReloadFailed(4, RenewalFailed("web.1"), rolled_back=True),
    )

    assert counted.reloads == {"finished": 1, "failed": 1, "rolled_back": 2}
