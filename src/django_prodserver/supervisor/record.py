"""Records: what machines read about a fact: its event, its severity, and its fields by name.

The name of an event says what it is about and what happened: `instance.ready`. These names are
stable. `report` words the message.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from signal import Signals

from . import facts
from .events import ChangeRequest, ExitStatus, signal_name
from .facts import (
    ChecksFailed,
    Ended,
    Fact,
    LifeState,
    NoAnswer,
    NotReady,
    Restart,
    SignalEffect,
    State,
    StopEverything,
    TooMuchMemory,
    WatchdogSilent,
    WatchdogTriggered,
    WithoutLock,
)
from .hints import Any, Callable, Union
from .spec import Exclusion, Ref
from .system import Processes
from .values import Value, items


class Severity(enum.Enum):
    """How serious it is, in the terms of Python's logging and of Cloud Logging."""

    INFO = "everything is as it should be, or was asked for"
    WARNING = "something failed and is being handled: stopped, restarted, tried again"
    ERROR = "something failed permanently, or the exit status will show it"


class Record(Value):
    """A log line of the supervisor, or an event without a line, with its fields for machines."""

    event: str
    severity: Severity
    message: str
    # The values have JSON types.
    fields: Mapping[str, Any] = {}
    # Lines that people read below the message; machines get the same in a field.
    details: Sequence[str] = ()

    @property
    def members(self) -> dict[str, Any]:
        """Its members in JSON, in addition to those that every line has."""
        return {"event": self.event, **self.fields}


INFO, WARNING, ERROR = Severity.INFO, Severity.WARNING, Severity.ERROR


def _severity_of_end(ended: Ended) -> Severity:
    if isinstance(ended.consequence, StopEverything):
        return ERROR
    recycled = ended.status.code == 0 and isinstance(ended.consequence, Restart)
    return INFO if ended.expected or recycled else WARNING


def _stopped_or_exited(ended: Ended) -> str:
    requested = ended.old in (LifeState.STOPPING, LifeState.KILLING)
    return "instance.stopped" if requested else "instance.exited"


def _of_signal(received: facts.SignalReceived) -> str:
    stops = received.effect in (SignalEffect.STOP, SignalEffect.KILL)
    return "supervisor.stopping" if stops else "supervisor.signal"


def _of_fault(stopping: facts.Stopping) -> str:
    return "instance.stopping" if stopping.fault is None else "instance.unhealthy"


def _of_state(changed: facts.StateChanged) -> str:
    return f"instance.{changed.new.name.lower()}"


def _of_lock(awaits: facts.AwaitsLock) -> str:
    singleton = awaits.exclusion is Exclusion.SINGLETON
    return "instance.standby" if singleton else "instance.waiting"


def _of_update(fact: Any) -> str:
    replaced = fact.replaced if isinstance(fact, facts.Updated) else fact.renewed
    return "instance.replaced" if replaced else "instance.update_failed"


def _severity_of_update(fact: Any) -> Severity:
    return INFO if _of_update(fact) == "instance.replaced" else WARNING


def _severity_of_consequence(fact: Any) -> Severity:
    return WARNING if isinstance(fact.consequence, Restart) else ERROR


def _severity_of_exit(stopped: facts.AllStopped) -> Severity:
    # 130 comes from Ctrl-C, and 129 from a terminal that was closed.
    return INFO if stopped.status in (0, 129, 130) else ERROR


Named = Union[str, Callable[[Any], str]]
Judged = Union[Severity, Callable[[Any], Severity]]

# The event and the severity of each kind of fact that has a line in the log, or is an event without
# one.
ROWS: Mapping[type[Value], tuple[Named, Judged]] = {
    facts.Ready: ("instance.ready", INFO),
    facts.Started: ("instance.started", INFO),
    facts.StateChanged: (_of_state, INFO),
    facts.Stopping: (_of_fault, lambda fact: WARNING if fact.fault else INFO),
    facts.Escalated: ("instance.stopping", WARNING),
    facts.Killing: ("instance.stopping", lambda fact: ERROR if fact.overran else INFO),
    facts.Ended: (_stopped_or_exited, _severity_of_end),
    facts.Lost: ("instance.lost", ERROR),
    facts.CheckFailed: ("instance.check_failed", WARNING),
    facts.NotChecked: ("instance.not_checked", WARNING),
    facts.ReportsLost: ("instance.notify_flooded", WARNING),
    facts.StartRefused: (
        lambda fact: f"instance.{'backoff' if isinstance(fact.consequence, Restart) else 'fatal'}",
        _severity_of_consequence,
    ),
    facts.StartLimitReached: ("instance.fatal", ERROR),
    facts.RunsLeftOut: ("instance.runs_left_out", WARNING),
    facts.AwaitsLock: (_of_lock, INFO),
    facts.HasLock: ("instance.locked", INFO),
    facts.LockGone: ("instance.lock_lost", WARNING),
    facts.DoneElsewhere: ("instance.done_elsewhere", INFO),
    facts.Updated: (_of_update, _severity_of_update),
    facts.Renewed: (_of_update, _severity_of_update),
    facts.Scaled: ("process.scaled", INFO),
    facts.LoadUnknown: ("process.load_unknown", WARNING),
    facts.AllReady: ("supervisor.ready", INFO),
    facts.AllFinished: ("supervisor.finished", INFO),
    facts.StoppingAll: ("supervisor.stopping", INFO),
    facts.StillRunning: ("supervisor.stopping", INFO),
    facts.WaitingToFinish: ("supervisor.stopping", INFO),
    facts.SignalReceived: (_of_signal, INFO),
    facts.NotPreloaded: ("supervisor.preload_failed", ERROR),
    facts.ReloadBegun: ("reload.started", INFO),
    facts.Reloaded: ("reload.finished", INFO),
    facts.ReloadFailed: (
        lambda fact: "reload.rolled_back" if fact.rolled_back else "reload.failed",
        ERROR,
    ),
    facts.AllStopped: ("supervisor.stopped", _severity_of_exit),
    facts.RequestRefused: ("operator.request", WARNING),
    facts.Granted: ("operator.request", INFO),
}

# Fields of facts that have other names in a record.
NAMES = {
    "name": "instance",
    # Datadog reads a `status` as the severity: 0 is an emergency.
    "status": "exit_status",
    "names": "instances",
    "after": "seconds",
    "lasted": "seconds_in_state",
    "old": "from",
    "new": "to",
    "memory": "memory_bytes",
    "used": "memory_bytes",
    "limit": "limit_bytes",
    "left": "seconds_left",
    "overran": "stop_timeout",
    "why": "reason",
    "number": "change",
    "numbers": "changes",
}
# Why an instance is unhealthy.
REASONS: Mapping[type[Value], str] = {
    NotReady: "not_ready",
    ChecksFailed: "check",
    WatchdogSilent: "watchdog",
    WatchdogTriggered: "watchdog",
    TooMuchMemory: "memory",
    WithoutLock: "lock",
}


def record(fact: Fact, message: str, processes: Processes) -> Record:
    """Describe a fact that has a row; the message is its line in the log, or its
    `event_message`.
    """
    event, severity = ROWS[type(fact)]
    return Record(
        event if isinstance(event, str) else event(fact),
        severity if isinstance(severity, Severity) else severity(fact),
        message,
        dict(_fields(fact, processes)),
    )


def _fields(value: Value, processes: Processes) -> Iterator[tuple[str, Any]]:
    for name, field in zip(value._fields, items(value)):
        if name == "out_of_memory":
            if field:
                yield "reason", "oom"
        elif name == "process":
            yield "processes", [field]
        elif name == "sent":
            if field:
                yield "sender", "operator"
        elif field is not None and field != "":
            yield from _members(NAMES.get(name, name), field, processes)


def _members(name: str, field: Any, processes: Processes) -> Iterator[tuple[str, Any]]:
    """The JSON members for one field of a fact: one, or several for a nested value."""
    if isinstance(field, Ref):
        yield "instance", field.name
        pid = processes.pid(field)
        if pid is not None:
            yield "pid", pid
    elif isinstance(field, ExitStatus):
        if field.signal is None:
            yield "exit_status", field.code
        else:
            yield "signal", signal_name(field.signal)
            if field.dumped_core:
                yield "core_dumped", True
    elif isinstance(field, StopEverything):
        yield "consequence", "stop_everything"
    elif isinstance(field, Restart):
        yield "consequence", "restart"
        yield "restart_in", round(field.pause, 3)
    elif isinstance(field, facts.AwaitRun):
        yield "consequence", "await_run"
    elif isinstance(field, facts.StandBy):
        yield "consequence", "stand_by"
    elif isinstance(field, facts.RenewalFailed):
        yield "instance", field.name
    elif isinstance(field, ChangeRequest):
        yield "change", field.number
        yield "verb", field.verb
        yield "names", list(field.names)
        yield "uid", field.by.uid
        if field.by.pid:
            yield "operator_pid", field.by.pid
    elif isinstance(field, NoAnswer):
        yield name, f"no answer within {field.within:g} s"
    elif isinstance(field, Value):
        yield "reason", REASONS[type(field)]
        yield from _fields(field, processes)
    elif isinstance(field, (LifeState, State, Signals)):
        yield name, field.name
    elif isinstance(field, enum.Enum):
        yield name, field.name.lower()
    elif isinstance(field, float):
        yield name, round(field, 3)
    elif isinstance(field, tuple):
        yield name, list(field)
    elif isinstance(field, Mapping):
        if field:
            yield name, dict(field)
    else:
        yield name, field
