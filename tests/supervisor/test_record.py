"""The supervisor's own lines for machines. Names of events and fields are a contract."""

from __future__ import annotations

import json
import re
from pathlib import Path
from signal import Signals
from typing import Any, get_args

import pytest

from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import (
    ChangeRequest,
    ExitStatus,
    Operator,
    RestartRequest,
    ShutdownRequest,
)
from django_prodserver.supervisor.facts import (
    Alive,
    AllFinished,
    AllReady,
    AllStopped,
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
from django_prodserver.supervisor.record import REASONS, ROWS, Record, Severity
from django_prodserver.supervisor.spec import Exclusion, Ref
from tests.supervisor.test_report import LINES, PROCESSES, WEB

INFO, WARNING, ERROR = Severity.INFO, Severity.WARNING, Severity.ERROR
ZERO, THREE, KILLED = ExitStatus(code=0), ExitStatus(code=3), ExitStatus(signal=9)
END, AGAIN = StopEverything(), Restart(0.5123)
ITS = {"instance": "web.1", "pid": 12}
# Facts that are too frequent, or that another fact reports already.
SILENT = {StatusReported, Retired, Alive}


def ended(old: LifeState, status: ExitStatus, **more: Any) -> Ended:
    return Ended(WEB, old, status, after=2.0, lasted=1.5, **more)


def of_end(old: str, **more: Any) -> dict[str, Any]:
    times = {"seconds": 2.0, "seconds_in_state": 1.5}
    flags = {"expected": False, "oneshot": False, "restarts": 0}
    return {**ITS, "from": old, **times, **flags, **more}


def recorded(fact: Fact) -> Record:
    said: list[Record] = []
    report.to_log(said.append, PROCESSES)(fact)
    (record,) = said
    return record


def happened(fact: Fact) -> list[Record]:
    """The event of a fact, even if the log has no line about it."""
    told: list[Record] = []
    report.to_events(told.append, PROCESSES)(fact)
    return told


RECORDS: list[tuple[Fact, str, Severity, dict[str, Any]]] = [
    (Ready(WEB, 0.1516), "instance.ready", INFO, {**ITS, "seconds": 0.152}),
    (Started(WEB), "instance.started", INFO, ITS),
    (
        ended(LifeState.RUNNING, THREE, consequence=END),
        "instance.exited",
        ERROR,
        of_end("RUNNING", exit_status=3, consequence="stop_everything"),
    ),
    (
        ended(LifeState.RUNNING, KILLED, out_of_memory=True, memory=530, consequence=AGAIN),
        "instance.exited",
        WARNING,
        of_end(
            "RUNNING",
            signal="SIGKILL",
            reason="oom",
            memory_bytes=530,
            consequence="restart",
            restart_in=0.512,
        ),
    ),
    (
        ended(
            LifeState.STARTING, ExitStatus(signal=11, dumped_core=True), sent=True, consequence=END
        ),
        "instance.exited",
        ERROR,
        of_end(
            "STARTING",
            signal="SIGSEGV",
            core_dumped=True,
            sender="operator",
            consequence="stop_everything",
        ),
    ),
    (
        ended(LifeState.STARTING, THREE, meaning="a worker failed to boot", consequence=END),
        "instance.exited",
        ERROR,
        of_end(
            "STARTING",
            exit_status=3,
            meaning="a worker failed to boot",
            consequence="stop_everything",
        ),
    ),
    (
        ended(LifeState.RUNNING, ZERO, reported="recycled", consequence=Restart(0.0)),
        "instance.exited",
        INFO,
        of_end(
            "RUNNING", exit_status=0, reported="recycled", consequence="restart", restart_in=0.0
        ),
    ),
    (
        ended(LifeState.STARTING, ZERO, expected=True, oneshot=True),
        "instance.exited",
        INFO,
        of_end("STARTING", exit_status=0, expected=True, oneshot=True),
    ),
    (
        ended(LifeState.STOPPING, ZERO, expected=True),
        "instance.stopped",
        INFO,
        of_end("STOPPING", exit_status=0, expected=True),
    ),
    (
        ended(LifeState.STOPPING, THREE),
        "instance.stopped",
        WARNING,
        of_end("STOPPING", exit_status=3),
    ),
    (
        ended(LifeState.STOPPING, THREE, consequence=END),
        "instance.stopped",
        ERROR,
        of_end("STOPPING", exit_status=3, consequence="stop_everything"),
    ),
    (
        ended(LifeState.KILLING, KILLED),
        "instance.stopped",
        WARNING,
        of_end("KILLING", signal="SIGKILL"),
    ),
    (
        Escalated(WEB, Signals.SIGQUIT),
        "instance.stopping",
        WARNING,
        {**ITS, "signal": "SIGQUIT"},
    ),
    (Killing(WEB, overran=25.0), "instance.stopping", ERROR, {**ITS, "stop_timeout": 25.0}),
    (
        Lost(WEB, 5.0, END),
        "instance.lost",
        ERROR,
        {**ITS, "seconds": 5.0, "consequence": "stop_everything"},
    ),
    (
        CheckFailed(WEB, "HTTP 500", 1, 3),
        "instance.check_failed",
        WARNING,
        {**ITS, "failure": "HTTP 500", "failures": 1, "retries": 3},
    ),
    (
        NotChecked(WEB, "no files"),
        "instance.not_checked",
        WARNING,
        {**ITS, "error": "no files"},
    ),
    (ReportsLost(WEB), "instance.notify_flooded", WARNING, ITS),
    (
        StartRefused("web.1", "no memory", END),
        "instance.fatal",
        ERROR,
        {"instance": "web.1", "error": "no memory", "consequence": "stop_everything"},
    ),
    (
        StartRefused("web.1", "no memory", AGAIN),
        "instance.backoff",
        WARNING,
        {
            "instance": "web.1",
            "error": "no memory",
            "consequence": "restart",
            "restart_in": 0.512,
        },
    ),
    (
        StartLimitReached("web.1", 5, 60.0),
        "instance.fatal",
        ERROR,
        {"instance": "web.1", "starts": 5, "interval": 60.0},
    ),
    (
        Updated("web.1", replaced=False),
        "instance.update_failed",
        WARNING,
        {"instance": "web.1", "replaced": False},
    ),
    (AllReady(2, 0.61), "supervisor.ready", INFO, {"count": 2, "seconds": 0.61}),
    (AllFinished(2, 0.61), "supervisor.finished", INFO, {"count": 2, "seconds": 0.61}),
    (
        StillRunning(("web.1",), 24.0),
        "supervisor.stopping",
        INFO,
        {"instances": ["web.1"], "seconds_left": 24.0},
    ),
    (
        StillRunning(("web.1", "worker.1"), 24.0, {"worker.1": "2 tasks"}),
        "supervisor.stopping",
        INFO,
        {
            "instances": ["web.1", "worker.1"],
            "seconds_left": 24.0,
            "reported": {"worker.1": "2 tasks"},
        },
    ),
    (
        WaitingToFinish(("web.1",), 24.0),
        "supervisor.stopping",
        INFO,
        {"instances": ["web.1"], "seconds_left": 24.0},
    ),
    (
        SignalReceived(Signals.SIGTERM, SignalEffect.STOP),
        "supervisor.stopping",
        INFO,
        {"signal": "SIGTERM", "effect": "stop"},
    ),
    (
        SignalReceived(Signals.SIGUSR1, SignalEffect.FORWARD),
        "supervisor.signal",
        INFO,
        {"signal": "SIGUSR1", "effect": "forward"},
    ),
    (ReloadBegun(2), "reload.started", INFO, {"generation": 2}),
    (
        Reloaded(2, 1.5, (7,)),
        "reload.finished",
        INFO,
        {"generation": 2, "seconds": 1.5, "changes": [7]},
    ),
    (
        ReloadFailed(2, "SyntaxError: invalid syntax"),
        "reload.failed",
        ERROR,
        {
            "generation": 2,
            "reason": "SyntaxError: invalid syntax",
            "rolled_back": False,
            "changes": [],
        },
    ),
    (
        ReloadFailed(2, RenewalFailed("web.1", NotReady(3.0)), rolled_back=True),
        "reload.rolled_back",
        ERROR,
        {"generation": 2, "instance": "web.1", "rolled_back": True, "changes": []},
    ),
    (NotPreloaded("No.\nNo."), "supervisor.preload_failed", ERROR, {"error": "No.\nNo."}),
    (AllStopped(0, 0.2), "supervisor.stopped", INFO, {"exit_status": 0, "seconds": 0.2}),
    (AllStopped(129, 0.2), "supervisor.stopped", INFO, {"exit_status": 129, "seconds": 0.2}),
    (AllStopped(130, 0.2), "supervisor.stopped", INFO, {"exit_status": 130, "seconds": 0.2}),
    (AllStopped(3, 0.2), "supervisor.stopped", ERROR, {"exit_status": 3, "seconds": 0.2}),
    (
        RequestRefused("wbe", Refusal.NO_SUCH_NAME),
        "operator.request",
        WARNING,
        {"instance": "wbe", "reason": "no_such_name"},
    ),
    (
        RequestRefused("wbe", Refusal.STOPPING, number=7),
        "operator.request",
        WARNING,
        {"instance": "wbe", "reason": "stopping", "change": 7},
    ),
    (
        Granted(
            ChangeRequest(7, Operator(1000, 77), "restart", ("web",), (RestartRequest("web"),))
        ),
        "operator.request",
        INFO,
        {"change": 7, "verb": "restart", "names": ["web"], "uid": 1000, "operator_pid": 77},
    ),
    (
        Granted(ChangeRequest(8, Operator(0, 0), "shutdown", (), (ShutdownRequest(),))),
        "operator.request",
        INFO,
        {"change": 8, "verb": "shutdown", "names": [], "uid": 0},
    ),
]
FAULTS: list[tuple[Fault, dict[str, Any]]] = [
    (NotReady(60.0), {"reason": "not_ready", "within": 60.0}),
    (ChecksFailed("HTTP 500", 3), {"reason": "check", "failure": "HTTP 500", "retries": 3}),
    (
        ChecksFailed(NoAnswer(3.0), 1),
        {"reason": "check", "failure": "no answer within 3 s", "retries": 1},
    ),
    (WatchdogSilent(30.0), {"reason": "watchdog", "within": 30.0}),
    (WatchdogTriggered(), {"reason": "watchdog"}),
    (TooMuchMemory(530, 512), {"reason": "memory", "memory_bytes": 530, "limit_bytes": 512}),
    (WithoutLock("b has the lock"), {"reason": "lock", "error": "b has the lock"}),
]
RECORDS += [
    (
        RunsLeftOut("nightly.1", 2),
        "instance.runs_left_out",
        WARNING,
        {"instance": "nightly.1", "count": 2},
    ),
    (
        AwaitsLock("beat.1", Exclusion.SINGLETON, "b has the lock"),
        "instance.standby",
        INFO,
        {"instance": "beat.1", "exclusion": "singleton", "reason": "b has the lock"},
    ),
    (
        AwaitsLock("migrate.1", Exclusion.ONCE, "b has the lock"),
        "instance.waiting",
        INFO,
        {"instance": "migrate.1", "exclusion": "once", "reason": "b has the lock"},
    ),
    (
        Scaled("worker", "queue", 37.0, 10.0, 2, 4),
        "process.scaled",
        INFO,
        {
            "processes": ["worker"],
            "metric": "queue",
            "value": 37.0,
            "target": 10.0,
            "from": 2,
            "to": 4,
        },
    ),
    (
        LoadUnknown("worker", "queue", "gone"),
        "process.load_unknown",
        WARNING,
        {"processes": ["worker"], "metric": "queue", "reason": "gone"},
    ),
    (HasLock("beat.1"), "instance.locked", INFO, {"instance": "beat.1"}),
    (
        LockGone("migrate.1", "gone"),
        "instance.lock_lost",
        WARNING,
        {"instance": "migrate.1", "reason": "gone"},
    ),
    (DoneElsewhere("migrate.1"), "instance.done_elsewhere", INFO, {"instance": "migrate.1"}),
]
RECORDS += [
    (Stopping(WEB, fault), "instance.unhealthy", WARNING, {**ITS, **fields})
    for fault, fields in FAULTS
]


# Events without a line in the log.
EVENTS: list[tuple[Fact, str, Severity, dict[str, Any]]] = [
    (
        StateChanged("web.1", State.WAITING, State.STARTING),
        "instance.starting",
        INFO,
        {"instance": "web.1", "from": "WAITING", "to": "STARTING"},
    ),
    (
        StateChanged("web.1", State.EXITED, State.BACKOFF),
        "instance.backoff",
        INFO,
        {"instance": "web.1", "from": "EXITED", "to": "BACKOFF"},
    ),
    (Stopping(WEB), "instance.stopping", INFO, ITS),
    (Killing(WEB), "instance.stopping", INFO, ITS),
    (
        Updated("web.1", replaced=True),
        "instance.replaced",
        INFO,
        {"instance": "web.1", "replaced": True},
    ),
    (
        Renewed("web.1", renewed=True),
        "instance.replaced",
        INFO,
        {"instance": "web.1", "renewed": True},
    ),
    (
        Renewed("web.1", renewed=False),
        "instance.update_failed",
        WARNING,
        {"instance": "web.1", "renewed": False},
    ),
    (StoppingAll(), "supervisor.stopping", INFO, {}),
]
# Changes that `Ready`, `Ended`, `StartRefused` and other facts report.
NO_EVENTS: list[Fact] = [
    *(
        StateChanged("web.1", old, new)
        for old, new in [
            (State.STARTING, State.RUNNING),
            (State.STARTING, State.BACKOFF),
            (State.RUNNING, State.STOPPING),
            (State.RUNNING, State.EXITED),
            (State.EXITED, State.FATAL),
        ]
    ),
    StatusReported(WEB, "4 tasks"),
    Retired(WEB),
    Alive(),
]


@pytest.mark.parametrize(("fact", "event", "severity", "fields"), RECORDS, ids=lambda one: str(one))
def test_a_fact_is_logged_as_a_record_with_its_event_and_fields(
    fact: Fact, event: str, severity: Severity, fields: dict[str, Any]
) -> None:
    said = report.line(fact, PROCESSES)

    assert said is not None
    assert recorded(fact) == Record(event, severity, said, fields)


@pytest.mark.parametrize(("fact", "event", "severity", "fields"), EVENTS, ids=lambda one: str(one))
def test_a_fact_without_a_log_line_is_reported_as_an_event(
    fact: Fact, event: str, severity: Severity, fields: dict[str, Any]
) -> None:
    assert report.line(fact, PROCESSES) is None
    assert happened(fact) == [Record(event, severity, report.event_message(fact) or "", fields)]


@pytest.mark.parametrize("fact", [*NO_EVENTS, *(fact for fact, *_ in RECORDS)], ids=str)
def test_no_fact_is_reported_twice(fact: Fact) -> None:
    assert happened(fact) == []


def test_every_reported_fact_has_a_row_and_a_test_example() -> None:
    told = {*get_args(Fact)} - SILENT

    assert set(ROWS) == told
    assert {type(fact) for fact, *_ in [*RECORDS, *EVENTS]} == told


def test_every_fault_has_a_reason() -> None:
    assert set(REASONS) == set(get_args(Fault)) == {type(fault) for fault, _ in FAULTS}


def test_an_unknown_pid_is_left_out_of_a_record() -> None:
    class NoProcesses:
        def pid(self, ref: Ref) -> None: ...

        def members(self, ref: Ref) -> list[tuple[str, int]]:
            return []

    said: list[Record] = []
    report.to_log(said.append, NoProcesses())(Ready(WEB, 0.15))

    assert said[0].fields == {"instance": "web.1", "seconds": 0.15}


OTHERS = [
    report.supervising(["web.1"], "3.13.0", "5.2", "mysite.settings", False, 0.44),
    report.supervising(["web.1"], "3.13.0", "5.2", "mysite.settings", True, 0.44),
    report.refused("CommandError: no such process"),
    report.serving(["web.1"], "http://127.0.0.1:8000/"),
    report.spawned_for(["web"], [report.threads_left(["exporter"], [])], report.Price(0.4)),
    report.left_to_forks(report.threads_left(["exporter"], [])),
    report.left_to_forks(report.connections_left(["127.0.0.1:6379"], ["client"])),
    report.forked_in_spite_of(
        ["web"],
        [report.threads_left(["exporter"], [])],
        report.listeners_left(["127.0.0.1:9100"], []),
    ),
    report.spawned_for_variables("web", ["NAME"]),
    report.variables_not_seen("web", ["NAME"]),
    report.cannot_listen("web", "cannot listen at 127.0.0.1:80: Address already in use"),
    report.socket_not_used("api", "/run/api.sock"),
    report.needs_restart("CONTROL"),
    report.code_changed(["shop/views.py", "shop/urls.py", "shop/apps.py"]),
    report.not_watched("it exited with status 1", 1.0),
    report.project_metrics_failed("it took longer than 2 s"),
    report.notifications_ignored("web.1", 2),
    report.killed_left_behind([("sleep", 15)]),
    report.killed_orphans("web.1", [("sleep", 15)]),
    report.survived_sigkill([("sleep", 15)], 5.0),
    report.descendants_hidden(),
    report.memory_hidden(),
    report.preload_warning("The system checks cannot run; going on, because it may answer later"),
    report.not_waiting("web", ["migrate"]),
    report.template_ended("was killed by SIGKILL"),
    report.template_failed("exited with status 1", 1.0),
    report.template_late(15.0),
    report.template_of_another_version(),
    report.template_replaced(),
    report.search_given_up("web.1"),
    report.lines_left_out(20),
    report.events_dropped(7),
    report.handlers_failed(5, "it took longer than 30 s"),
    report.handler_failed("shop.alerts.page", 3, 5, "TimeoutError: timed out"),
    report.output_lost(12, "stdout"),
    report.control_failed("MemoryError"),
    report.control_unavailable("no folder can be written to", chosen=False),
    report.control_unavailable("/run/mine is not a folder", chosen=True),
    report.control_in_use("pid 7 has it"),
    report.monitoring("127.0.0.1:9180", public=False),
    report.monitoring("0.0.0.0:9180", public=True),
    report.monitor_failed("127.0.0.1:9180", "Address already in use"),
    report.request_refused("stop", Operator(1000, 77), "no such process"),
]


@pytest.mark.parametrize(
    "record",
    [
        *OTHERS,
        *(recorded(fact) for fact, _ in LINES),
        *(record for fact, *_ in EVENTS for record in happened(fact)),
    ],
    ids=lambda one: one.message,
)
def test_a_record_is_json_and_does_not_reuse_keys_of_the_log_line(record: Record) -> None:
    assert json.loads(json.dumps(record.members)) == record.members
    assert not record.members.keys() & {
        "id",
        "run",
        "time",
        "name",
        "process",
        "stream",
        "severity",
        "message",
        "status",
    }
    assert all(name.replace("_", "").islower() for name in record.members)


def test_the_events_are_documented_with_their_severities() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "output.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[a-z_]+\..*?) \| (.*?) \|", page, re.MULTILINE)
    documented = {
        event: set(re.findall(r"`([A-Z]+)`", severities))
        for events, severities in rows
        for event in re.findall(r"`([a-z_.]+)`", events)
    }

    said: dict[str, set[str]] = {}
    of_facts = [recorded(fact) for fact, *_ in RECORDS]
    for record in [
        *OTHERS,
        *of_facts,
        *(record for fact, *_ in EVENTS for record in happened(fact)),
    ]:
        said.setdefault(record.event, set()).add(record.severity.name)
    assert documented == said
