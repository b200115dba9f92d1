"""The health of one life: each input results in READY, in a fault, or in nothing."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from django_prodserver.supervisor.commands import CancelProbe, Measure, ProbeKind, StartProbe
from django_prodserver.supervisor.deadlines import Deadline
from django_prodserver.supervisor.events import Notified, WatchdogMessage
from django_prodserver.supervisor.facts import (
    CheckFailed,
    ChecksFailed,
    NoAnswer,
    NotChecked,
    NotReady,
    ReportsLost,
    TooMuchMemory,
    WatchdogSilent,
    WatchdogTriggered,
)
from django_prodserver.supervisor.health import Answer, Conclusion, Health
from django_prodserver.supervisor.spec import CheckSchedule, ReadyProbe, Ref, Spec

MB = 1_000_000
REF = Ref("web.1", 0, 1)
CHECK, CONNECT = StartProbe(REF, ProbeKind.HEALTH), StartProbe(REF, ProbeKind.READY)
CANCEL = CancelProbe(REF)

NOTHING: Answer = ([], Conclusion.NOTHING)
READY: Answer = ([], Conclusion.READY)
STARTED: Answer = ([], Conclusion.STARTED)


class Patient:
    """The health of a life that was started at 10, and the life's deadlines."""

    def __init__(self, **more: Any) -> None:
        self.deadlines: dict[Deadline, float] = {}
        self.health = Health(REF, Spec("web.1", **more), self.deadlines)

    @property
    def deadline(self) -> Optional[float]:
        return min(self.deadlines.values(), default=None)

    def ready(self, now: float) -> Patient:
        """It becomes ready now."""
        deadlines = self.health.became_ready(now)
        self.deadlines.clear()
        self.deadlines.update(deadlines)
        return self

    def due(self, now: float) -> Answer:
        """Handle the first deadline that has passed."""
        deadline = next(one for one in Deadline if self.deadlines.get(one, now + 1) <= now)
        del self.deadlines[deadline]
        return self.health.due(now, deadline)

    def says(self, now: float, **what: Any) -> Answer:
        """A message about its readiness; or about its watchdog, if it has only that."""
        if "watchdog" in what:
            return self.health.pinged(now, what["watchdog"])
        return self.health.notified(now, Notified(REF, **what))


def spawned(**more: Any) -> Patient:
    patient = Patient(**more)
    patient.health.started(10.0)
    return patient


# ---- becoming ready ----


@pytest.mark.parametrize(
    ("more", "answer", "deadlines"),
    [
        ({}, STARTED, {}),
        ({"notifies": True}, NOTHING, {Deadline.READY: 70.0}),
        ({"connects": True}, NOTHING, {Deadline.READY: 70.0, Deadline.PROBE: 10.0}),
        (
            {"notifies": True, "connects": True},
            NOTHING,
            {Deadline.READY: 70.0, Deadline.PROBE: 10.0},
        ),
        ({"ready_line": True}, NOTHING, {Deadline.READY: 70.0}),
        (
            {"ready_probe": ReadyProbe()},
            NOTHING,
            {Deadline.READY: 70.0, Deadline.PROBE: 10.0},
        ),
        ({"oneshot": True, "ready_line": True}, NOTHING, {}),
        ({"oneshot": True, "ready_probe": ReadyProbe()}, NOTHING, {}),
        ({"notifies": True, "ready_timeout": 5.0}, NOTHING, {Deadline.READY: 15.0}),
        ({"oneshot": True}, NOTHING, {}),
        ({"oneshot": True, "notifies": True}, NOTHING, {}),
        ({"oneshot": True, "connects": True}, NOTHING, {}),
        ({"max_memory": MB}, STARTED, {Deadline.MEASURE: 20.0}),
        ({"oneshot": True, "max_memory": MB}, NOTHING, {Deadline.MEASURE: 20.0}),
    ],
    ids=str,
)
def test_a_started_life_has_the_readiness_and_deadlines_of_its_settings(
    more: dict[str, Any], answer: Answer, deadlines: dict[Deadline, float]
) -> None:
    patient = Patient(**more)

    assert patient.health.started(10.0) == answer
    assert patient.deadlines == deadlines
    assert patient.health.ready_at is None


@pytest.mark.parametrize(
    ("more", "deadlines"),
    [
        ({}, {}),
        ({"check": CheckSchedule(interval=5.0)}, {Deadline.PROBE: 17.0}),
        ({"watchdog": 30.0}, {Deadline.WATCHDOG: 42.0}),
        # The measurement of memory goes on as before.
        ({"max_memory": MB}, {Deadline.MEASURE: 20.0}),
        (
            {"check": CheckSchedule(), "watchdog": 30.0, "max_memory": MB},
            {Deadline.PROBE: 22.0, Deadline.WATCHDOG: 42.0, Deadline.MEASURE: 20.0},
        ),
    ],
    ids=str,
)
def test_a_ready_life_has_the_deadlines_of_its_settings(
    more: dict[str, Any], deadlines: dict[Deadline, float]
) -> None:
    health = spawned(notifies=True, **more).health

    assert health.became_ready(12.0) == deadlines
    assert health.ready_at == 12.0


def test_a_notifying_life_is_ready_once_it_reports_ready() -> None:
    patient = spawned(notifies=True)

    assert patient.says(11.0, status="loading") == NOTHING
    assert patient.says(12.0, ready=True) == READY


def test_a_life_with_a_connection_probe_may_also_report_ready() -> None:
    assert spawned(connects=True).says(12.0, ready=True) == READY


def test_a_second_ready_message_is_ignored() -> None:
    assert spawned(notifies=True).ready(12.0).says(13.0, ready=True) == NOTHING


def test_a_oneshot_cannot_be_ready() -> None:
    assert spawned(oneshot=True, notifies=True).says(12.0, ready=True) == NOTHING


def test_a_probe_is_repeated_until_it_succeeds() -> None:
    patient = spawned(ready_probe=ReadyProbe(timeout=3.0, pause=0.5))

    assert patient.due(10.0) == ([CONNECT], Conclusion.NOTHING)
    assert patient.deadlines[Deadline.ANSWER] == 13.0
    assert patient.health.probed(10.25, "HTTP 503") == NOTHING
    assert patient.health.last_failure == "HTTP 503"
    assert patient.due(10.75) == ([CONNECT], Conclusion.NOTHING)
    assert patient.due(13.75) == ([CANCEL], Conclusion.NOTHING)
    assert patient.health.last_failure == NoAnswer(3.0)
    assert patient.due(14.25) == ([CONNECT], Conclusion.NOTHING)
    assert patient.health.probed(14.5, "") == READY


def test_probe_failures_are_forgotten_once_a_life_is_ready() -> None:
    patient = spawned(ready_probe=ReadyProbe())
    patient.due(10.0)
    patient.health.probed(10.25, "HTTP 503")

    patient.ready(11.0)

    assert (patient.health.failures, patient.health.last_failure) == (0, None)


def test_a_failed_connection_attempt_is_not_kept_as_the_last_failure() -> None:
    patient = spawned(connects=True)
    patient.due(10.0)
    patient.health.probed(10.25, "refused")

    assert patient.health.last_failure is None


def test_a_ready_line_makes_a_life_ready_only_once() -> None:
    patient = spawned(ready_line=True)

    assert patient.health.found_ready_line() == READY
    assert patient.ready(11.0).health.found_ready_line() == NOTHING


def test_a_ready_line_does_not_make_a_oneshot_ready() -> None:
    assert spawned(oneshot=True, ready_line=True).health.found_ready_line() == NOTHING


def test_a_connection_is_tried_until_it_succeeds() -> None:
    patient = spawned(connects=True)

    assert patient.due(10.0) == ([CONNECT], Conclusion.NOTHING)
    assert patient.deadline == 11.0
    assert patient.health.probed(10.25, "refused") == NOTHING
    assert patient.deadline == 10.375
    assert patient.due(10.375) == ([CONNECT], Conclusion.NOTHING)
    # No answer: the attempt is cancelled, and the next one begins a moment later.
    assert patient.due(11.375) == ([CANCEL], Conclusion.NOTHING)
    assert patient.due(11.5) == ([CONNECT], Conclusion.NOTHING)
    assert patient.health.probed(11.5, "") == READY
    assert patient.deadlines == {Deadline.READY: 70.0}


def test_a_life_that_is_not_ready_in_time_has_a_fault() -> None:
    patient = spawned(notifies=True, ready_timeout=60.0)

    assert patient.deadline == 70.0
    assert patient.due(70.0) == ([], NotReady(60.0))


def test_a_life_can_extend_but_not_shorten_its_ready_timeout() -> None:
    patient = spawned(notifies=True, ready_timeout=60.0)

    assert patient.says(20.0, extend_timeout=5.0) == NOTHING
    assert patient.deadline == 70.0
    assert patient.says(60.0, extend_timeout=30.0) == NOTHING
    assert patient.deadline == 90.0
    # The time counts from its start.
    assert patient.due(90.0) == ([], NotReady(80.0))


@pytest.mark.parametrize(
    "patient", [spawned(notifies=True).ready(12.0), spawned(oneshot=True)], ids=["ready", "oneshot"]
)
def test_a_life_without_a_ready_timeout_cannot_extend_it(patient: Patient) -> None:
    assert patient.says(20.0, extend_timeout=30.0) == NOTHING
    assert patient.deadlines == {}


# ---- checks ----


def checked(**more: Any) -> Patient:
    """Checked every 10 s from 22; unhealthy after two failures."""
    schedule = {"interval": 10.0, "timeout": 3.0, "retries": 2, **more}
    return spawned(notifies=True, check=CheckSchedule(**schedule)).ready(12.0)


def check(patient: Patient, *answers: Optional[str]) -> Answer:
    """Answer one check after another after 1 s, None by a timeout; returns the last answer."""
    answer = NOTHING
    for failure in answers:
        assert patient.deadline is not None
        now = patient.deadline
        assert patient.due(now) == ([CHECK], Conclusion.NOTHING)
        answer = (
            patient.due(now + 3.0) if failure is None else patient.health.probed(now + 1, failure)
        )
    return answer


def failed(failure: Any, failures: int = 1, retries: int = 2) -> CheckFailed:
    return CheckFailed(REF, failure, failures, retries)


def test_the_next_check_starts_one_interval_after_the_last_check_ended() -> None:
    patient = checked()
    assert patient.deadlines == {Deadline.PROBE: 22.0}

    assert check(patient, "") == NOTHING
    assert patient.deadlines == {Deadline.PROBE: 33.0}
    assert check(patient, None) == ([CANCEL, failed(NoAnswer(3.0))], Conclusion.NOTHING)
    assert patient.deadlines == {Deadline.PROBE: 46.0}


def test_as_many_consecutive_failed_checks_as_retries_are_a_fault() -> None:
    patient = checked()

    assert check(patient, "refused") == ([failed("refused")], Conclusion.NOTHING)
    assert check(patient, "status 500") == ([], ChecksFailed("status 500", 2))


def test_a_check_timeout_counts_as_the_last_consecutive_failure() -> None:
    assert check(checked(), "refused", None) == ([CANCEL], ChecksFailed(NoAnswer(3.0), 2))


def test_one_failed_check_is_a_fault_if_retries_is_1() -> None:
    assert check(checked(retries=1), "refused") == ([], ChecksFailed("refused", 1))


def test_a_successful_check_resets_the_failure_count() -> None:
    assert check(checked(), "refused", "", "refused") == ([failed("refused")], Conclusion.NOTHING)


def test_failed_checks_do_not_count_during_the_start_period() -> None:
    patient = checked(start_period=30.0)  # from 10 to 40; the answers come at 23, 34 and 45

    assert check(patient, "refused") == NOTHING
    assert check(patient, "refused") == NOTHING
    assert check(patient, "refused") == ([failed("refused")], Conclusion.NOTHING)


def test_a_failed_check_counts_at_the_end_of_the_start_period() -> None:
    patient = checked(start_period=13.0)

    assert check(patient, "refused") == ([failed("refused")], Conclusion.NOTHING)


def test_failed_checks_count_in_the_start_period_after_a_successful_check() -> None:
    patient = checked(start_period=1000.0)

    assert check(patient, "refused", "", "refused") == ([failed("refused")], Conclusion.NOTHING)


def test_a_probe_answer_after_the_timeout_is_ignored() -> None:
    patient = checked()
    check(patient, None)

    assert patient.health.probed(26.0, "refused") == NOTHING
    assert patient.deadlines == {Deadline.PROBE: 35.0}


def test_failed_checks_and_the_last_reason_are_kept_until_a_success() -> None:
    patient = checked(retries=5)
    check(patient, "refused", None)
    assert (patient.health.failures, patient.health.last_failure) == (2, NoAnswer(3.0))

    check(patient, "")

    assert (patient.health.failures, patient.health.last_failure) == (0, None)


# ---- probes that cannot start ----


def test_a_check_that_cannot_start_is_neither_a_failure_nor_a_success() -> None:
    patient = spawned(check=CheckSchedule(interval=5.0, retries=2)).ready(12.0)
    patient.due(17.0)
    patient.health.probed(17.0, "HTTP 500")
    patient.due(22.0)

    assert patient.health.probe_refused(22.0, "no process") == (
        [NotChecked(REF, "no process")],
        Conclusion.NOTHING,
    )
    # It counts neither as a failure nor as a success, and the next check comes as planned.
    assert (patient.health.failures, patient.deadlines) == (1, {Deadline.PROBE: 27.0})
    patient.due(27.0)
    assert patient.health.probed(27.0, "HTTP 500") == ([], ChecksFailed("HTTP 500", 2))


def test_checks_that_cannot_start_are_reported_once_until_a_check_is_answered() -> None:
    patient = spawned(check=CheckSchedule(interval=5.0)).ready(12.0)
    told = []
    for now, refused in ((17.0, True), (22.0, True), (27.0, False), (32.0, True)):
        patient.due(now)
        answer = patient.health.probe_refused(now, "no process") if refused else None
        told.append(answer or patient.health.probed(now, ""))

    once: Answer = ([NotChecked(REF, "no process")], Conclusion.NOTHING)
    assert told == [once, NOTHING, NOTHING, once]


def test_a_connection_that_cannot_start_is_retried_until_the_ready_timeout() -> None:
    patient = spawned(connects=True, ready_timeout=1.0)
    patient.due(10.0)

    patient.health.probe_refused(10.0, "no descriptor")
    assert patient.deadlines == {Deadline.PROBE: 10.125, Deadline.READY: 11.0}
    assert patient.due(11.0) == ([], NotReady(1.0))


def test_a_refused_probe_is_ignored_if_no_probe_is_running() -> None:
    patient = spawned(check=CheckSchedule()).ready(12.0)

    assert patient.health.probe_refused(13.0, "no process") == NOTHING
    assert patient.deadlines == {Deadline.PROBE: 22.0}


# ---- probes that are cancelled ----


def test_a_running_probe_is_cancelled_only_once() -> None:
    patient = checked()
    patient.due(22.0)

    assert patient.health.cancel_probe() == [CANCEL]
    assert patient.health.cancel_probe() == []
    assert patient.deadlines == {}


def test_no_probe_is_cancelled_if_none_is_running() -> None:
    assert checked().health.cancel_probe() == []


# ---- watchdog ----


def watched() -> Patient:
    return spawned(notifies=True, watchdog=30.0).ready(12.0)


PING, TRIGGER = WatchdogMessage.PING, WatchdogMessage.TRIGGER


def test_watchdog_silence_is_a_fault() -> None:
    patient = watched()

    assert patient.deadline == 42.0
    assert patient.due(42.0) == ([], WatchdogSilent(30.0))


def test_each_ping_resets_the_watchdog_timeout() -> None:
    patient = watched()

    assert patient.says(40.0, watchdog=PING) == NOTHING
    assert patient.deadlines == {Deadline.WATCHDOG: 70.0}


def test_a_message_without_watchdog_is_not_a_ping() -> None:
    patient = watched()

    assert patient.says(40.0, watchdog=None) == NOTHING
    assert patient.deadlines == {Deadline.WATCHDOG: 42.0}


@pytest.mark.parametrize(
    "patient",
    [spawned(notifies=True, watchdog=30.0), spawned(notifies=True)],
    ids=["watched once it is ready", "never watched"],
)
def test_a_ping_is_ignored_before_a_life_is_ready(patient: Patient) -> None:
    assert patient.says(11.0, watchdog=PING) == NOTHING
    assert patient.deadlines == {Deadline.READY: 70.0}


def test_watchdog_silence_does_not_count_while_the_notify_socket_is_flooded() -> None:
    patient = spawned(watchdog=30.0).ready(12.0)

    assert patient.health.flooded(40.0) == ([ReportsLost(REF)], Conclusion.NOTHING)
    assert patient.deadlines == {Deadline.WATCHDOG: 70.0}
    # It is reported once.
    assert patient.health.flooded(60.0) == NOTHING
    assert patient.deadlines == {Deadline.WATCHDOG: 90.0}
    # After the flood it has to be heard again.
    assert patient.due(90.0) == ([], WatchdogSilent(30.0))


def test_a_flooded_notify_socket_extends_the_ready_timeout() -> None:
    patient = spawned(notifies=True, ready_timeout=5.0)

    assert patient.health.flooded(14.0) == ([ReportsLost(REF)], Conclusion.NOTHING)
    assert patient.deadlines == {Deadline.READY: 19.0}
    assert patient.due(19.0) == ([], NotReady(9.0))


@pytest.mark.parametrize(
    "patient", [spawned(connects=True), spawned().ready(12.0)], ids=["starting", "ready"]
)
def test_a_flood_has_no_effect_if_no_notify_message_is_expected(patient: Patient) -> None:
    before = dict(patient.deadlines)

    assert patient.health.flooded(14.0) == NOTHING
    assert patient.deadlines == before


def test_a_watchdog_trigger_is_a_fault_even_without_a_watchdog_timeout() -> None:
    assert watched().says(20.0, watchdog=TRIGGER) == ([], WatchdogTriggered())
    assert spawned().ready(10.0).says(20.0, watchdog=TRIGGER) == ([], WatchdogTriggered())


@pytest.mark.parametrize(
    "patient", [spawned(notifies=True), spawned(oneshot=True)], ids=["starting", "oneshot"]
)
def test_a_watchdog_trigger_is_ignored_before_a_life_is_ready(patient: Patient) -> None:
    assert patient.says(20.0, watchdog=TRIGGER) == NOTHING


# ---- memory ----


def test_memory_is_measured_every_ten_seconds_from_the_start() -> None:
    patient = spawned(notifies=True, max_memory=MB)

    assert patient.deadlines == {Deadline.MEASURE: 20.0, Deadline.READY: 70.0}
    assert patient.due(20.0) == ([Measure(REF)], Conclusion.NOTHING)
    patient.ready(25.0)
    assert patient.deadlines == {Deadline.MEASURE: 30.0}
    assert patient.due(31.0) == ([Measure(REF)], Conclusion.NOTHING)
    assert patient.deadlines == {Deadline.MEASURE: 41.0}


def test_without_a_limit_memory_is_not_measured() -> None:
    assert spawned().ready(10.0).deadlines == {}


@pytest.mark.parametrize(
    ("limit", "memory", "conclusion"),
    [
        (500 * MB, 500 * MB, Conclusion.NOTHING),  # the limit itself is allowed
        (500 * MB, 500 * MB + 1, TooMuchMemory(500 * MB + 1, 500 * MB)),
        (None, 500 * MB, Conclusion.NOTHING),
    ],
)
def test_more_memory_than_the_limit_is_a_fault(
    limit: Optional[int], memory: int, conclusion: object
) -> None:
    patient = spawned(max_memory=limit)

    assert patient.health.measured(memory) == ([], conclusion)
    assert patient.health.memory == memory
