"""The supervisor's own lines and notifications.

The lines are a contract: people and log searches rely on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from signal import Signals
from typing import Any, Optional, Union, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_prodserver.supervisor import amounts, facts, report
from django_prodserver.supervisor.events import (
    ChangeRequest,
    ExitStatus,
    Operator,
    RestartRequest,
    ShutdownRequest,
    signal_name,
)
from django_prodserver.supervisor.facts import (
    Alive,
    AllFinished,
    AllReady,
    AllStopped,
    AwaitRun,
    AwaitsLock,
    CheckFailed,
    ChecksFailed,
    DoneElsewhere,
    Ended,
    Escalated,
    Fact,
    Fault,
    Granted,
    HasLock,
    Killing,
    LifeState,
    LoadUnknown,
    LockGone,
    Lost,
    NoAnswer,
    NotChecked,
    NotPreloaded,
    NotReady,
    ProbeFailure,
    Ready,
    Refusal,
    ReloadBegun,
    Reloaded,
    ReloadFailed,
    RenewalFailed,
    Renewed,
    ReportsLost,
    RequestRefused,
    Restart,
    Retired,
    RunsLeftOut,
    Scaled,
    SignalEffect,
    SignalReceived,
    StandBy,
    Started,
    StartLimitReached,
    StartRefused,
    State,
    StateChanged,
    StatusReported,
    StillRunning,
    StopEverything,
    Stopping,
    StoppingAll,
    TooMuchMemory,
    Updated,
    WaitingToFinish,
    WatchdogSilent,
    WatchdogTriggered,
    WithoutLock,
)
from django_prodserver.supervisor.record import INFO, Record, Severity
from django_prodserver.supervisor.spec import Exclusion, Ref
from django_prodserver.supervisor.values import replace

WEB, WORKER = Ref("web.1", 0, 1), Ref("worker.1", 0, 1)
STUBBORN = Ref("stubborn.1", 0, 1)


class Processes:
    """`web.1` has pid 12; `stubborn.1` has two processes left."""

    def pid(self, ref: Ref) -> Optional[int]:
        return 12

    def members(self, ref: Ref) -> Sequence[tuple[str, int]]:
        return [("gunicorn", 12), ("sleep", 15)] if ref == STUBBORN else []


PROCESSES = Processes()


def ended(old: LifeState, status: ExitStatus, **more: Any) -> Ended:
    return Ended(WEB, old, status, **more)


STARTING, RUNNING = LifeState.STARTING, LifeState.RUNNING
STOPPING, KILLING = LifeState.STOPPING, LifeState.KILLING
BY_SIGKILL, SEGV = ExitStatus(signal=9), ExitStatus(signal=11)
END = StopEverything()

NO_RELOAD = "this supervisor cannot load the project again: that requires Linux"
LINES: list[tuple[Fact, str]] = [
    (Ready(WEB, 0.15), "web.1 ready after 0.15 s (pid 12)"),
    (Started(WEB), "web.1 started (pid 12)"),
    (AllReady(2, after=0.61), "all 2 ready after 0.61 s"),
    (AllFinished(2, after=1.63), "all 2 finished after 1.63 s"),
    # Ends that were not requested, with everything that is known.
    (
        Ended(
            WORKER,
            RUNNING,
            ExitStatus(code=1),
            after=126.3,
            lasted=7.0,
            consequence=END,
        ),
        "worker.1 exited with status 1 after 126 s; stopping everything",
    ),
    (ended(RUNNING, SEGV, after=2.0), "web.1 was killed by SIGSEGV after 2.00 s"),
    (
        ended(RUNNING, ExitStatus(signal=40), after=2.0),
        "web.1 was killed by signal 40 after 2.00 s",
    ),
    (
        ended(STARTING, ExitStatus(code=3), after=2.0, meaning="a worker failed to boot"),
        "web.1 exited with status 3 (a worker failed to boot) after 2.00 s, before it was ready",
    ),
    (
        ended(RUNNING, BY_SIGKILL, after=2.0, sent=True),
        "web.1 was killed by SIGKILL (sent on request) after 2.00 s",
    ),
    (
        ended(RUNNING, BY_SIGKILL, after=2.0),
        "web.1 was killed by SIGKILL (not sent by prodserver) after 2.00 s",
    ),
    (
        ended(RUNNING, BY_SIGKILL, after=2.0, out_of_memory=True),
        "web.1 was killed by SIGKILL (out of memory) after 2.00 s",
    ),
    (
        ended(RUNNING, BY_SIGKILL, after=2.0, out_of_memory=True, memory=530_400_000),
        "web.1 was killed by SIGKILL (out of memory, 530 MB when last seen) after 2.00 s",
    ),
    (
        # One of its workers was killed for lack of memory, so it exited.
        ended(RUNNING, ExitStatus(code=3), after=2.0, out_of_memory=True),
        "web.1 exited with status 3 (out of memory) after 2.00 s",
    ),
    (
        ended(STARTING, ExitStatus(code=3), after=2.0),
        "web.1 exited with status 3 after 2.00 s, before it was ready",
    ),
    (
        ended(RUNNING, ExitStatus(code=3), after=2.0, reported="No space left on device"),
        "web.1 exited with status 3 after 2.00 s, reported: No space left on device",
    ),
    (
        ended(RUNNING, ExitStatus(code=3), after=2.0, restarts=1),
        "web.1 exited with status 3 after 2.00 s, restarted once so far",
    ),
    (
        ended(RUNNING, ExitStatus(code=3), after=2.0, restarts=2),
        "web.1 exited with status 3 after 2.00 s, restarted 2 times so far",
    ),
    (
        ended(
            STARTING,
            BY_SIGKILL,
            after=2.0,
            restarts=7,
            reported="STOPPING=1",
            out_of_memory=True,
            memory=1_400_000,
            consequence=Restart(4.0),
        ),
        (
            "web.1 was killed by SIGKILL (out of memory, 1 MB when last seen) after 2.00 s, "
            "before it was ready, reported: STOPPING=1, restarted 7 times so far; "
            "restarting in 4.00 s"
        ),
    ),
    (
        # It recycled itself, by its own options.
        ended(RUNNING, ExitStatus(code=0), after=2.0, consequence=Restart(0.0)),
        "web.1 exited with status 0 after 2.00 s; restarting",
    ),
    (
        # A oneshot cannot become ready.
        ended(STARTING, ExitStatus(code=3), after=2.0, oneshot=True, consequence=END),
        "web.1 exited with status 3 after 2.00 s; stopping everything",
    ),
    (
        ended(STARTING, ExitStatus(code=0), expected=True, oneshot=True, after=60.0, lasted=0.5),
        "web.1 finished after 60.0 s",
    ),
    # Ends that were requested.
    (
        ended(STOPPING, ExitStatus(signal=15), expected=True, after=60.0, lasted=0.5),
        "web.1 stopped after 0.50 s",
    ),
    (
        ended(STOPPING, ExitStatus(signal=15), expected=True, oneshot=True, lasted=0.5),
        "web.1 stopped after 0.50 s",
    ),
    (
        ended(STOPPING, ExitStatus(code=0), expected=True, lasted=0.5, consequence=Restart(0.0)),
        "web.1 stopped after 0.50 s; restarting",
    ),
    (
        ended(STOPPING, ExitStatus(code=1), after=60.0, lasted=0.5),
        "web.1 exited with status 1 while stopping, after 0.50 s",
    ),
    (
        ended(STOPPING, ExitStatus(code=0), lasted=0.5, consequence=Restart(0.5)),
        "web.1 exited with status 0 while stopping, after 0.50 s; restarting in 0.50 s",
    ),
    (
        ended(STOPPING, BY_SIGKILL, after=60.0, lasted=0.5),
        "web.1 was killed by SIGKILL while stopping, after 0.50 s",
    ),
    (ended(KILLING, BY_SIGKILL, after=60.0), "web.1 killed"),
    (
        ended(STOPPING, ExitStatus(code=0), expected=True, lasted=0.5, consequence=StandBy()),
        "web.1 stopped after 0.50 s; standing by",
    ),
    (
        ended(KILLING, BY_SIGKILL, consequence=Restart(0.5)),
        "web.1 killed; restarting in 0.50 s",
    ),
    # Lives that survive SIGKILL.
    (
        Lost(STUBBORN, 5.0),
        (
            "stubborn.1 survived SIGKILL for 5 s: gunicorn (pid 12), sleep (pid 15); "
            "no longer waiting for it"
        ),
    ),
    # Its processes may be unknown.
    (Lost(WEB, 5.0), "web.1 survived SIGKILL for 5 s (pid 12); no longer waiting for it"),
    (
        Lost(WEB, 5.0, Restart(0.5)),
        ("web.1 survived SIGKILL for 5 s (pid 12); no longer waiting for it; restarting in 0.50 s"),
    ),
    (
        Lost(WEB, 5.0, END),
        ("web.1 survived SIGKILL for 5 s (pid 12); no longer waiting for it; stopping everything"),
    ),
    # What is done about a fault.
    (
        Stopping(WEB, WatchdogSilent(30.0)),
        "web.1 is unhealthy: no WATCHDOG=1 for 30 s; stopping it",
    ),
    (
        Killing(WEB, overran=25.0),
        "web.1 did not stop within 25 s; killing it and its process group",
    ),
    (StartRefused("web.1", "out of pids"), "web.1 could not be started: out of pids"),
    (
        StartRefused("web.1", "out of pids", END),
        "web.1 could not be started: out of pids; stopping everything",
    ),
    (
        StartLimitReached("web.1", 5, 60.0, END),
        "giving up on web.1: 5 starts in 60 s (START_LIMIT); stopping everything",
    ),
    (ReloadBegun(2), "loading the project again (generation 2)"),
    (Reloaded(2, 1.5), "reloaded after 1.50 s (generation 2)"),
    (
        ReloadFailed(2, "SyntaxError: invalid syntax"),
        "reload failed: SyntaxError: invalid syntax; nothing was changed",
    ),
    (
        ReloadFailed(2, RenewalFailed("web.1", NotReady(3.0)), rolled_back=True),
        "reload failed: web.1 was not ready within 3 s; everything was rolled back",
    ),
    (
        ReloadFailed(2, RenewalFailed("web.1", StartRefused("web.1", "out of pids"))),
        "reload failed: web.1 could not be started: out of pids; nothing was changed",
    ),
    (
        ReloadFailed(2, RenewalFailed("web.1")),
        "reload failed: web.1 did not become ready; nothing was changed",
    ),
    (
        SignalReceived(Signals.SIGHUP, SignalEffect.RELOAD),
        "SIGHUP received; reloading",
    ),
    (RequestRefused("reload", Refusal.NO_RELOAD), f"reload: {NO_RELOAD}; nothing was changed"),
    (Updated("web.1", replaced=False), "web.1 was not replaced: the new one did not become ready"),
    (
        CheckFailed(WEB, "connection refused", 1, 3),
        "web.1 failed a health check (1 of 3): connection refused",
    ),
    (
        ReportsLost(WEB),
        "web.1: other processes flood its notify socket; its WATCHDOG is not enforced meanwhile",
    ),
    (
        NotChecked(WEB, "Too many open files"),
        "web.1 could not be checked: Too many open files; trying again",
    ),
    (
        CheckFailed(WEB, NoAnswer(3.0), 2, 3),
        "web.1 failed a health check (2 of 3): no answer within 3 s",
    ),
    (StillRunning(("web.1",), 24.0), "waiting for web.1; SIGKILL in 24.0 s"),
    (
        StillRunning(("web.1", "worker.1"), 0.5),
        "waiting for web.1, worker.1; SIGKILL in 0.50 s",
    ),
    (
        StillRunning(("worker.1",), 24.0, {"worker.1": "2 tasks, oldest 14 s"}),
        "waiting for worker.1: 2 tasks, oldest 14 s; SIGKILL in 24.0 s",
    ),
    (
        StillRunning(
            ("web.1", "beat.1", "worker.1"),
            24.0,
            {"web.1": "3 requests", "worker.1": "2 tasks, oldest 9 s"},
        ),
        "waiting for beat.1; web.1: 3 requests; worker.1: 2 tasks, oldest 9 s; SIGKILL in 24.0 s",
    ),
    (
        WaitingToFinish(("migrate.1", "static.1"), 25.0),
        "waiting up to 25.0 s for migrate.1, static.1 to finish",
    ),
    (Escalated(WORKER, Signals.SIGQUIT), "worker.1 is still running; sending it SIGQUIT"),
    (
        SignalReceived(Signals.SIGTERM, SignalEffect.STOP),
        "SIGTERM received; stopping everything",
    ),
    (
        SignalReceived(Signals.SIGINT, SignalEffect.KILL),
        "SIGINT received; killing everything",
    ),
    (SignalReceived(Signals.SIGUSR1, SignalEffect.FORWARD), "SIGUSR1 received; passed on"),
    (SignalReceived(Signals.SIGHUP, SignalEffect.NOTHING), "SIGHUP received; ignored"),
    (
        RequestRefused("mail", Refusal.NO_SUCH_NAME),
        "mail: no instance or process has that name; nothing was changed",
    ),
    (
        RequestRefused("web", Refusal.STOPPING),
        "web: everything is being stopped; nothing was changed",
    ),
    (
        Granted(
            ChangeRequest(
                7, Operator(1000, 77), "restart", ("web", "a.1"), (RestartRequest("web"),)
            )
        ),
        "restart web a.1: requested by uid 1000 (pid 77)",
    ),
    (
        Granted(ChangeRequest(8, Operator(0, 0), "shutdown", (), (ShutdownRequest(),))),
        "shutdown: requested by uid 0",
    ),
    (
        NotPreloaded("PRODUCTION_PROCESSES['web'] cannot be loaded: SyntaxError:\n  bad\tinput."),
        (
            "the preload failed: PRODUCTION_PROCESSES['web'] cannot be loaded: SyntaxError: "
            "bad input; stopping everything"
        ),
    ),
    (
        AwaitsLock("beat.1", Exclusion.SINGLETON, "b has the lock"),
        "beat.1 stands by: b has the lock",
    ),
    (
        AwaitsLock("migrate.1", Exclusion.ONCE, "b has the lock"),
        "migrate.1 waits for its lock: b has the lock",
    ),
    (RunsLeftOut("nightly.1", 1), "nightly.1: 1 run left out"),
    (RunsLeftOut("nightly.1", 2), "nightly.1: 2 runs left out"),
    (
        ended(STARTING, ExitStatus(code=3), after=1.0, oneshot=True, consequence=AwaitRun()),
        "web.1 exited with status 3 after 1.00 s; waiting for its next run",
    ),
    (
        Scaled("worker", "queue", 37.0, 10.0, 2, 4),
        "worker scaled from 2 to 4: queue is 37 tasks, TARGET is 10 tasks",
    ),
    (
        Scaled("worker", "queue", 1.0, 10.0, 2, 1),
        "worker scaled from 2 to 1: queue is 1 task, TARGET is 10 tasks",
    ),
    (
        Scaled("worker", "queue-age", 41.0, 30.0, 2, 3),
        "worker scaled from 2 to 3: queue-age is 41.0 s, TARGET is 30.0 s",
    ),
    (
        Scaled("web", "cpu", 1.634, 0.7, 2, 3),
        "web scaled from 2 to 3: cpu is 1.63 cores, TARGET is 0.70 cores",
    ),
    (
        Scaled("web", "memory", 812e6, 4e8, 2, 3),
        "web scaled from 2 to 3: memory is 812 MB, TARGET is 400 MB",
    ),
    (
        Scaled("web", "busy", 12.04, 5.0, 2, 3),
        "web scaled from 2 to 3: busy is 12.0 requests, TARGET is 5.0 requests",
    ),
    (
        Scaled("web", "shop.load.waiting", 12.5, 5.0, 2, 3),
        "web scaled from 2 to 3: shop.load.waiting is 12.5, TARGET is 5",
    ),
    (
        LoadUnknown("worker", "queue", "it took longer than 10 s"),
        "worker is not scaled: queue cannot be measured: it took longer than 10 s",
    ),
    (HasLock("beat.1"), "beat.1 has its lock; starting it"),
    (
        LockGone("migrate.1", "no answer"),
        "migrate.1 has lost its lock: no answer; it keeps running",
    ),
    (DoneElsewhere("migrate.1"), "migrate.1 need not run: another supervisor has done it"),
    (AllStopped(130, after=2.41), "all stopped after 2.41 s; exit status 130"),
]

SILENT: list[Fact] = [
    StatusReported(WEB, "4 tasks"),
    StoppingAll(),
    Alive(),
    # A stop on request, and SIGKILL after a second signal: both have a line of their own.
    Stopping(WEB),
    Killing(WEB),
    Updated("web.1", replaced=True),
    Retired(WEB),
    Renewed("web.1", renewed=False),
    *(StateChanged("web.1", old, new) for old in State for new in State if old is not new),
]


@pytest.mark.parametrize(("fact", "line"), LINES, ids=[line for _, line in LINES])
def test_a_fact_has_the_expected_log_line(fact: Fact, line: str) -> None:
    assert report.line(fact, PROCESSES) == line


@pytest.mark.parametrize("fact", SILENT, ids=str)
def test_a_silent_fact_has_no_log_line(fact: Fact) -> None:
    assert report.line(fact, PROCESSES) is None


def test_the_tables_here_cover_every_type_of_fact() -> None:
    assert {type(fact) for fact in [*SILENT, *(fact for fact, _ in LINES)]} == set(get_args(Fact))


def test_a_value_that_is_not_a_fact_raises_an_assertion_error() -> None:
    with pytest.raises(AssertionError, match=r"^unexpected: Ref\("):
        report.line(WEB, PROCESSES)  # type: ignore[arg-type]


# ---- why a life has to stop, and what follows ----

FAULTS: list[tuple[Fault, str]] = [
    (NotReady(60.0), "was not ready within 60 s"),
    (NotReady(0.5), "was not ready within 0.5 s"),
    (NotReady(60.0, "HTTP 503"), "was not ready within 60 s (HTTP 503)"),
    (NotReady(60.0, NoAnswer(3.0)), "was not ready within 60 s (no answer within 3 s)"),
    (NotReady(999.0), "was not ready within 999 s"),
    (NotReady(1000.0), "was not ready within 1000 s"),
    (NotReady(7200.0), "was not ready within 7200 s"),
    (NotReady(1234567.5), "was not ready within 1234567.5 s"),
    (ChecksFailed("status 500", 1), "is unhealthy: status 500"),
    (ChecksFailed("status 500", 2), "is unhealthy: status 500, 2 times in a row"),
    (ChecksFailed(NoAnswer(3.0), 1), "is unhealthy: no answer within 3 s"),
    (ChecksFailed(NoAnswer(0.5), 3), "is unhealthy: no answer within 0.5 s, 3 times in a row"),
    (WatchdogSilent(30.0), "is unhealthy: no WATCHDOG=1 for 30 s"),
    (WatchdogSilent(1.5), "is unhealthy: no WATCHDOG=1 for 1.5 s"),
    (WatchdogTriggered(), "is unhealthy: it sent WATCHDOG=trigger"),
    (TooMuchMemory(600_000_000, 500_000_000), "uses 600 MB, its MAX_MEMORY is 500 MB"),
    (WithoutLock("b has the lock"), "has lost its lock: b has the lock"),
]


@pytest.mark.parametrize(("fault", "reason"), FAULTS, ids=[reason for _, reason in FAULTS])
def test_the_log_line_about_a_stop_names_the_fault(fault: Fault, reason: str) -> None:
    assert report.line(Stopping(WEB, fault), PROCESSES) == f"web.1 {reason}; stopping it"


def members(union: object) -> set[object]:
    return set(get_args(union))


def test_the_tables_here_cover_every_fault_failure_consequence_and_refusal() -> None:
    """Whatever is added to the core must be added here."""
    assert {type(fault) for fault, _ in FAULTS} == members(Fault)
    told = [fact for fact, _ in LINES]
    failures = {type(fact.failure) for fact in told if isinstance(fact, CheckFailed)}
    assert failures == members(ProbeFailure)
    assert {type(fact.consequence) for fact in told if isinstance(fact, Ended)} == {
        *members(facts.Consequence),
        type(None),
    }
    assert {fact.effect for fact in told if isinstance(fact, SignalReceived)} == set(SignalEffect)
    assert {fact.why for fact in told if isinstance(fact, RequestRefused)} == set(Refusal)


@pytest.mark.parametrize(
    ("timeout", "text"), [(25.0, "25 s"), (0.5, "0.5 s"), (90.0, "90 s"), (7200.0, "7200 s")]
)
def test_the_log_line_about_a_kill_shows_the_stop_timeout_as_it_was_set(
    timeout: float, text: str
) -> None:
    said = report.line(Killing(WEB, overran=timeout), PROCESSES)

    assert said == f"web.1 did not stop within {text}; killing it and its process group"


@pytest.mark.parametrize(
    ("consequence", "text"),
    [
        (None, ""),
        (END, "; stopping everything"),
        (Restart(0.0), "; restarting"),
        (Restart(0.375), "; restarting in 0.38 s"),
        (Restart(30.0), "; restarting in 30.00 s"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("fact", "said"),
    [
        (ended(RUNNING, SEGV, after=2.0), "web.1 was killed by SIGSEGV after 2.00 s"),
        (Lost(WEB, 5.0), "web.1 survived SIGKILL for 5 s (pid 12); no longer waiting for it"),
        (StartRefused("web.1", "no memory"), "web.1 could not be started: no memory"),
        (
            StartLimitReached("web.1", 5, 60.0),
            "giving up on web.1: 5 starts in 60 s (START_LIMIT)",
        ),
    ],
    ids=str,
)
def test_a_log_line_about_a_failure_names_its_consequence(
    fact: Union[Ended, Lost, StartRefused, StartLimitReached],
    said: str,
    consequence: Optional[facts.Consequence],
    text: str,
) -> None:
    followed = replace(fact, consequence=consequence)

    assert report.line(followed, PROCESSES) == said + text


# ---- notifications to a service manager ----

NOTIFICATIONS: list[tuple[Fact, str]] = [
    (AllReady(2, after=0.61), "READY=1\nSTATUS=all 2 ready after 0.61 s"),
    (AllFinished(2, after=1.63), "READY=1\nSTATUS=all 2 finished after 1.63 s"),
    (StoppingAll(), "STOPPING=1"),
    (Alive(), "WATCHDOG=1"),
    (StatusReported(WEB, "4 tasks"), "STATUS=web.1: 4 tasks"),
    (ReloadBegun(2), "RELOADING=1"),
    (Reloaded(2, 1.5), "READY=1\nSTATUS=reloaded after 1.50 s (generation 2)"),
    (ReloadFailed(2, "no"), "READY=1\nSTATUS=reload failed: no; nothing was changed"),
]
OWN = tuple(type(fact) for fact, _ in NOTIFICATIONS)


@pytest.mark.parametrize(
    ("fact", "message"), NOTIFICATIONS, ids=[type(fact).__name__ for fact, _ in NOTIFICATIONS]
)
def test_a_fact_has_the_expected_notification(fact: Fact, message: str) -> None:
    assert report.notification(fact, PROCESSES) == message


@pytest.mark.parametrize(
    ("fact", "line"),
    [row for row in LINES if not isinstance(row[0], OWN)],
    ids=[line for fact, line in LINES if not isinstance(fact, OWN)],
)
def test_a_notification_has_the_log_line_as_its_status(fact: Fact, line: str) -> None:
    assert report.notification(fact, PROCESSES) == f"STATUS={line}"


@pytest.mark.parametrize("fact", [fact for fact in SILENT if not isinstance(fact, OWN)], ids=str)
def test_a_silent_fact_sends_no_notification(fact: Fact) -> None:
    assert report.notification(fact, PROCESSES) is None


def test_a_single_ready_process_does_not_make_the_supervisor_report_ready() -> None:
    alone = report.notification(Ready(WEB, 0.15), PROCESSES)

    assert alone == "STATUS=web.1 ready after 0.15 s (pid 12)"


# ---- observers ----


def test_the_log_receives_a_record_only_for_facts_with_a_line() -> None:
    said: list[Record] = []
    observe = report.to_log(said.append, PROCESSES)

    for fact in (Ready(WEB, 0.15), StoppingAll(), Alive(), AllStopped(0, after=1.0)):
        observe(fact)

    ready = {"instance": "web.1", "pid": 12, "seconds": 0.15}
    assert said == [
        Record("instance.ready", INFO, "web.1 ready after 0.15 s (pid 12)", ready),
        Record(
            "supervisor.stopped",
            INFO,
            "all stopped after 1.00 s; exit status 0",
            {"exit_status": 0, "seconds": 1.0},
        ),
    ]


def test_the_service_manager_receives_only_facts_with_a_notification() -> None:
    told: list[str] = []
    observe = report.to_service_manager(told.append, PROCESSES)

    for fact in (Ready(WEB, 0.15), Stopping(WEB), StoppingAll(), Alive()):
        observe(fact)

    assert told == ["STATUS=web.1 ready after 0.15 s (pid 12)", "STOPPING=1", "WATCHDOG=1"]


# ---- lines that are not about a fact of the core ----


def test_the_first_log_line_names_the_instances_versions_and_settings() -> None:
    versions = (["web.1", "worker.1"], "3.13.0", "5.2", "mysite.settings")
    said = report.supervising(*versions, False, 0.44)
    assert said.message == (
        "supervising web.1, worker.1 (python 3.13.0, django 5.2, settings mysite.settings, "
        "preloaded in 0.44 s)"
    )
    assert said.severity is Severity.INFO


def test_the_first_log_line_warns_about_debug() -> None:
    said = report.supervising(["web.1"], "3.13.0", "5.2", "mysite.settings", True, 0.44)
    assert "settings mysite.settings with DEBUG = True, preloaded" in said.message
    assert said.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "web.1: 1 message to its notify socket was ignored"),
        (2, "web.1: 2 messages to its notify socket were ignored"),
    ],
)
def test_ignored_notifications_are_counted(count: int, said: str) -> None:
    assert report.notifications_ignored("web.1", count).message == said


def test_log_lines_about_a_failed_template_name_the_consequence() -> None:
    assert report.template_ended("was killed by SIGKILL").message == (
        "the template was killed by SIGKILL; starting another one; running processes "
        "continue, restarts wait for it"
    )
    assert report.template_failed("exited with status 1", 2.0).message == (
        "the template exited with status 1; no process can be started until another one is ready; "
        "trying again in 2.00 s"
    )
    assert report.template_of_another_version().message == (
        "the template cannot be replaced: another version of django-prodserver is installed "
        "now; restart the supervisor"
    )
    assert report.template_replaced().message == "another template is ready"


def test_processes_that_were_left_behind_are_named() -> None:
    left = [("sleep", 15), ("sh", 16)]

    assert report.killed_left_behind(left).message == (
        "killed what was left behind: sleep (pid 15), sh (pid 16)"
    )
    assert report.killed_orphans("web.1", left).message == (
        "killed what was left behind by web.1: sleep (pid 15), sh (pid 16)"
    )
    assert report.survived_sigkill(left, 5.0).message == (
        "SIGKILL did not end sleep (pid 15), sh (pid 16) within 5 s; exit status 1"
    )
    assert report.descendants_hidden().message == (
        "some processes are left behind: /proc does not show them, so they cannot be killed"
    )


def test_lost_output_is_counted() -> None:
    assert (
        report.output_lost(12, "stdout").message
        == "12 bytes of output were lost: stdout did not accept more"
    )


# ---- words ----


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (ExitStatus(code=0), "exited with status 0"),
        (ExitStatus(code=255), "exited with status 255"),
        (ExitStatus(signal=15), "was killed by SIGTERM"),
        (ExitStatus(signal=9), "was killed by SIGKILL"),
    ],
    ids=str,
)
def test_an_exit_status_is_described_in_words(status: ExitStatus, text: str) -> None:
    assert report.exit_status(status) == text


def test_a_real_time_signal_is_named_by_its_number() -> None:
    assert signal_name(Signals.SIGTERM) == "SIGTERM"
    assert signal_name(40) == "signal 40"


@pytest.mark.parametrize(
    ("size", "text"), [(530_400_000, "530 MB"), (1_400_000, "1 MB"), (0, "0 MB")]
)
def test_memory_is_in_megabytes(size: int, text: str) -> None:
    assert amounts.megabytes(size) == text


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
    assert amounts.seconds(value) == text


@given(st.floats(min_value=0, max_value=1e9))
@example(9.995)
@example(99.95)
def test_seconds_have_three_digits_or_are_whole_and_round_correctly(value: float) -> None:
    number, unit = amounts.seconds(value).split(" ")
    whole, _, fraction = number.partition(".")

    assert unit == "s"
    assert len(whole + fraction) == 3 or (not fraction and len(whole) > 3)
    assert abs(float(number) - value) <= 0.5 * 10 ** -len(fraction) + 1e-9


@pytest.mark.parametrize(
    "fact",
    [
        StartRefused("web.1", "no\nREADY=1"),
        StatusReported(WEB, "fine\nSTOPPING=1"),
        CheckFailed(WEB, "HTTP\rSTOPPING=1\x1b[2J", 1, 3),
    ],
)
def test_quoted_text_cannot_inject_an_assignment_into_a_notification(fact: Fact) -> None:
    told = report.notification(fact, PROCESSES)

    assert told is not None
    assert told.isprintable()
    assert told.startswith("STATUS=web.1")


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "the log was not read: 1 line is left out here"),
        (20, "the log was not read: 20 lines are left out here"),
    ],
)
def test_lines_that_were_left_out_are_counted(count: int, said: str) -> None:
    assert report.lines_left_out(count).message == said
