"""What the supervisor says about itself: a sentence for each fact that is worth a human's time.

This module words all log lines of the supervisor itself, and its notifications to a service manager
such as systemd.
"""

from __future__ import annotations

from collections.abc import Sequence
from signal import Signals

from .amounts import load, megabytes, seconds
from .events import ExitStatus, Operator, signal_name
from .facts import (
    Alive,
    AllFinished,
    AllReady,
    AllStopped,
    AwaitRun,
    AwaitsLock,
    CheckFailed,
    ChecksFailed,
    Consequence,
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
    NotChecked,
    NotPreloaded,
    NotReady,
    Observer,
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
from .hints import Callable, Optional, Union
from .record import ERROR, INFO, WARNING, Record, record
from .spec import Exclusion
from .system import Processes
from .text import printable
from .values import Value, assert_never


def to_log(
    say: Callable[[Record], None],
    processes: Processes,
    complete: Callable[[Fact, Record], Record] = lambda fact, made: made,
) -> Observer:
    """Log a line for each fact that is worth one; `complete` may add to its record."""

    def observe(fact: Fact) -> None:
        said = line(fact, processes)
        if said is not None:
            say(complete(fact, record(fact, said, processes)))

    return observe


def to_events(record_event: Callable[[Record], None], processes: Processes) -> Observer:
    """Report the facts that are events but have no line in the log."""

    def observe(fact: Fact) -> None:
        said = event_message(fact)
        if said is not None:
            record_event(record(fact, said, processes))

    return observe


def to_service_manager(send: Callable[[str], None], processes: Processes) -> Observer:
    """Notify the service manager of facts, in the words of sd_notify(3)."""

    def observe(fact: Fact) -> None:
        message = notification(fact, processes)
        if message is not None:
            send(message)

    return observe


def line(fact: Fact, processes: Processes) -> Optional[str]:
    """Put a fact into words; None if it is not worth a line in the log."""
    if isinstance(fact, Ready):
        pid = processes.pid(fact.ref)
        return f"{fact.ref.name} ready after {seconds(fact.after)} (pid {pid})"
    if isinstance(fact, Started):
        return f"{fact.ref.name} started (pid {processes.pid(fact.ref)})"
    if isinstance(fact, Ended):
        return f"{fact.ref.name} {end(fact)}{_consequence(fact.consequence)}"
    if isinstance(fact, Stopping):
        if fact.fault is None:
            return None
        return f"{fact.ref.name} {fault(fact.fault)}; stopping it"
    if isinstance(fact, Escalated):
        return f"{fact.ref.name} is still running; sending it {fact.signal.name}"
    if isinstance(fact, Killing):
        if fact.overran is None:
            return None
        overran = f"did not stop within {fact.overran:g} s"
        return f"{fact.ref.name} {overran}; killing it and its process group"
    if isinstance(fact, Lost):
        return f"{_lost(fact, processes)}{_consequence(fact.consequence)}"
    if isinstance(fact, CheckFailed):
        count = f"{fact.failures} of {fact.retries}"
        return f"{fact.ref.name} failed a health check ({count}): {failure(fact.failure)}"
    if isinstance(fact, NotChecked):
        return f"{fact.ref.name} could not be checked: {fact.error}; trying again"
    if isinstance(fact, ReportsLost):
        flood = "other processes flood its notify socket"
        return f"{fact.ref.name}: {flood}; its WATCHDOG is not enforced meanwhile"
    if isinstance(fact, StartRefused):
        return f"{fact.name} could not be started: {fact.error}{_consequence(fact.consequence)}"
    if isinstance(fact, StartLimitReached):
        limit = f"{fact.starts} starts in {fact.interval:g} s (START_LIMIT)"
        return f"giving up on {fact.name}: {limit}{_consequence(fact.consequence)}"
    if isinstance(fact, RunsLeftOut):
        runs = "1 run" if fact.count == 1 else f"{fact.count} runs"
        return f"{fact.name}: {runs} left out"
    if isinstance(fact, Scaled):
        found, target = load(fact.metric, fact.value), load(fact.metric, fact.target)
        why = f"{fact.metric} is {found}, TARGET is {target}"
        return f"{fact.process} scaled from {fact.old} to {fact.new}: {why}"
    if isinstance(fact, LoadUnknown):
        return f"{fact.process} is not scaled: {fact.metric} cannot be measured: {fact.why}"
    if isinstance(fact, (AwaitsLock, HasLock, LockGone, DoneElsewhere)):
        return f"{fact.name} {_of_lock(fact)}"
    if isinstance(fact, (ReloadBegun, Reloaded, ReloadFailed)):
        return _reload(fact)
    if isinstance(fact, Updated):
        return (
            None
            if fact.replaced
            else f"{fact.name} was not replaced: the new one did not become ready"
        )
    if isinstance(fact, AllReady):
        return f"all {fact.count} ready after {seconds(fact.after)}"
    if isinstance(fact, AllFinished):
        return f"all {fact.count} finished after {seconds(fact.after)}"
    if isinstance(fact, StillRunning):
        return f"waiting for {_still_running(fact)}; SIGKILL in {seconds(fact.left)}"
    if isinstance(fact, WaitingToFinish):
        return f"waiting up to {seconds(fact.left)} for {', '.join(fact.names)} to finish"
    if isinstance(fact, SignalReceived):
        return f"{fact.signal.name} received; {_signal_effect(fact.effect)}"
    if isinstance(fact, NotPreloaded):
        mistake = " ".join(printable(fact.error).split()).removesuffix(".")
        return f"the preload failed: {mistake}{_consequence(StopEverything())}"
    if isinstance(fact, AllStopped):
        return f"all stopped after {seconds(fact.after)}; exit status {fact.status}"
    if isinstance(fact, RequestRefused):
        return f"{fact.name}: {refusal(fact.why)}; nothing was changed"
    if isinstance(fact, Granted):
        return (
            f"{' '.join([fact.request.verb, *fact.request.names])}: {requested_by(fact.request.by)}"
        )
    if isinstance(fact, (StateChanged, StatusReported, Retired, Renewed, StoppingAll, Alive)):
        return None
    assert_never(fact)


def event_message(fact: Fact) -> Optional[str]:
    """Put into words a fact that is an event but has no line in the log; None for others."""
    if isinstance(fact, StateChanged):
        if fact.new is State.STARTING:
            return f"{fact.name} starting"
        # A refused start has a line of its own.
        if fact.new is State.BACKOFF and fact.old is not State.STARTING:
            return f"{fact.name} waits for its restart"
    if isinstance(fact, Stopping) and fact.fault is None:
        return f"{fact.ref.name} was asked to stop"
    if isinstance(fact, Killing) and fact.overran is None:
        return f"killing {fact.ref.name} and its process group"
    if isinstance(fact, Updated) and fact.replaced:
        return f"{fact.name} was replaced"
    if isinstance(fact, Renewed):
        return f"{fact.name} was {'replaced' if fact.renewed else 'not replaced'}"
    return "everything is being stopped" if isinstance(fact, StoppingAll) else None


def notification(fact: Fact, processes: Processes) -> Optional[str]:
    """Put a fact into the words of sd_notify(3)."""
    if isinstance(fact, (AllReady, AllFinished)):
        return f"READY=1\n{_status(line(fact, processes) or '')}"
    if isinstance(fact, StoppingAll):
        return "STOPPING=1"
    if isinstance(fact, ReloadBegun):
        return RELOADING
    if isinstance(fact, (Reloaded, ReloadFailed)):
        return f"READY=1\n{_status(line(fact, processes) or '')}"
    if isinstance(fact, Alive):
        return "WATCHDOG=1"
    if isinstance(fact, StatusReported):
        return _status(f"{fact.ref.name}: {fact.status}")
    said = line(fact, processes)
    return None if said is None else _status(said)


# The sender adds a line MONOTONIC_USEC= with the time of sending, in microseconds.
RELOADING = "RELOADING=1"


def _status(text: str) -> str:
    # A second line would be read as another assignment.
    return f"STATUS={printable(text)}"


# ---- lines that are not about a fact of the core ----


def preload_warning(warning: str) -> Record:
    """A warning about what the preload could not find out."""
    return Record("supervisor.preload", WARNING, warning)


def template_ended(how: str) -> Record:
    """`how` is worded by `exit_status`."""
    go_on = "running processes continue, restarts wait for it"
    message = f"the template {how}; starting another one; {go_on}"
    return Record("template.ended", WARNING, message)


def template_failed(how: str, pause: float) -> Record:
    """The template ended before anything could be forked from it; `pause` is in seconds."""
    until = "no process can be started until another one is ready"
    message = f"the template {how}; {until}; trying again in {seconds(pause)}"
    return Record("template.failed", ERROR, message, {"restart_in": round(pause, 3)})


def template_late(after: float) -> Record:
    """The template hangs; `after` is in seconds."""
    message = f"the template has not answered after {seconds(after)}; killing it"
    return Record("template.late", WARNING, message, {"after": after})


def template_of_another_version() -> Record:
    why = "another version of django-prodserver is installed now"
    message = f"the template cannot be replaced: {why}; restart the supervisor"
    return Record("template.failed", ERROR, message)


def template_replaced() -> Record:
    return Record("template.ready", INFO, "another template is ready")


def not_waiting(name: str, disabled: Sequence[str]) -> Record:
    """The process has an AFTER that names disabled processes."""
    are = "which is disabled" if len(disabled) == 1 else "which are disabled"
    message = f"{name} does not wait for {', '.join(disabled)}, {are}"
    fields = {"processes": [name], "disabled": list(disabled)}
    return Record("process.not_waiting", INFO, message, fields)


def supervising(
    names: Sequence[str], python: str, django: str, settings: str, debug: bool, preload: float
) -> Record:
    """`settings` is the settings module, `debug` its DEBUG; `preload` is in seconds."""
    loaded = f"settings {settings}{' with DEBUG = True' if debug else ''}"
    said = f"python {python}, django {django}, {loaded}, preloaded in {seconds(preload)}"
    fields = {"python": python, "django": django, "settings": settings, "debug": debug}
    fields = {"instances": list(names), **fields, "seconds": round(preload, 3)}
    severity = WARNING if debug else INFO
    return Record(
        "supervisor.starting", severity, f"supervising {', '.join(names)} ({said})", fields
    )


def refused(problem: str) -> Record:
    """Nothing was started; the problem may have several lines."""
    return Record("supervisor.refused", ERROR, problem)


def serving(names: Sequence[str], url: str) -> Record:
    """`names` are names of instances."""
    fields = {"instances": list(names), "url": url}
    return Record("instance.serving", INFO, f"{', '.join(names)} {url}", fields)


class Left(Value):
    """What the preload left behind, and what that means for a forked process.

    `what` is a phrase such as `the thread 'x' running`. In a record, the names are in `field`.
    """

    event: str
    field: str
    names: Sequence[str]
    what: str
    then: str


def threads_left(names: Sequence[str], owners: Sequence[str]) -> Left:
    """`owners` is not used: the name of a Python thread says enough."""
    what = f"the {_plural('thread', names)} {_quoted(names)} running"
    then = f"which will not exist in the processes: start {_them(names)} in the processes instead"
    return Left("start_method.thread_not_forked", "threads", names, what, then)


def native_threads_left(names: Sequence[str], owners: Sequence[str]) -> Left:
    """`owners` are libraries, where they are known."""
    what = f"the native {_plural('thread', names)} {_quoted(names)}{_of(owners)} running"
    then = (
        "which will not exist in the processes, so anything that waits for it hangs: start "
        "by spawn, or first use the library in the processes"
    )
    return Left("start_method.thread_not_forked", "threads", names, what, then)


def epoll_left(names: Sequence[str], owners: Sequence[str]) -> Left:
    then = (
        "which processes would share, so they miss events and hang: start by spawn, or make the "
        "event loop in the processes"
    )
    return Left(
        "start_method.shared", "epolls", ["eventpoll"], "an epoll of an event loop open", then
    )


def connections_left(names: Sequence[str], owners: Sequence[str]) -> Left:
    """`names` are addresses; `owners` are packages, where they are known."""
    connections = "a connection" if len(names) == 1 else "connections"
    what = f"{connections}{_of(owners)} to {', '.join(names)} open"
    then = (
        "which processes share, so they get each other's answers: connect at first use, or close "
        f"{_them(names)} at the end of the import"
    )
    return Left("start_method.shared", "connections", names, what, then)


def listeners_left(names: Sequence[str], owners: Sequence[str]) -> Left:
    """`names` are addresses."""
    sockets = "a socket" if len(names) == 1 else "sockets"
    what = f"{sockets} listening at {', '.join(names)}"
    then = f"where no process will answer: open {_them(names)} in the one process that serves there"
    return Left("start_method.shared", "listeners", names, what, then)


def preload_left(left: Sequence[Left]) -> str:
    return f"the preload left {_and([one.what for one in left])}"


def left_to_forks(left: Left) -> Record:
    message = f"the preload left {left.what}, {left.then}"
    return Record(left.event, WARNING, message, {left.field: list(left.names)})


def spawned_for(names: Sequence[str], left: Sequence[Left], price: Price) -> Record:
    """`names` is empty if all processes are meant."""
    it = "it survives" if sum(len(one.names) for one in left) == 1 else "they survive"
    message = (
        f"starting{_these(names)} by spawn: {preload_left(left)}; this costs each process the "
        f"import of the project ({_price(price)}): if {it} a fork, set PRODSERVER_START_METHOD=fork"
    )
    fields = {"processes": list(names), **_fields_of(left), "seconds": round(price.seconds, 3)}
    if price.memory is not None:
        fields["memory_bytes"] = price.memory
    return Record("start_method.spawn", WARNING, message, fields)


def forked_in_spite_of(names: Sequence[str], left: Sequence[Left], listeners: Left) -> Record:
    """`names` is empty if all processes are meant; `left` is why they would be spawned."""
    message = (
        f"starting{_these(names)} by fork, though {preload_left(left)}: a fresh interpreter "
        f"could not listen at {', '.join(listeners.names)} again; if each finds a port of its own, "
        "set PRODSERVER_START_METHOD=spawn"
    )
    fields = {"processes": list(names), **_fields_of([*left, listeners])}
    return Record("start_method.fork", WARNING, message, fields)


class Price(Value):
    """What each spawned process costs: the import in seconds, and its memory in bytes."""

    seconds: float
    memory: Optional[int] = None


def _price(price: Price) -> str:
    memory = "" if price.memory is None else f", {megabytes(price.memory)}"
    return f"{seconds(price.seconds)}{memory}"


def _fields_of(left: Sequence[Left]) -> dict[str, object]:
    fields: dict[str, list[str]] = {}
    for one in left:
        fields.setdefault(one.field, []).extend(one.names)
    return {**fields}


def spawned_for_variables(name: str, variables: Sequence[str]) -> Record:
    read = f"its ENV sets {', '.join(variables)}, which has already been read"
    fields = {"processes": [name], "variables": list(variables)}
    return Record("start_method.spawn", INFO, f"starting {name} by spawn: {read}", fields)


def variables_not_seen(name: str, variables: Sequence[str]) -> Record:
    which = f"the {', '.join(variables)} of its ENV, which has already been read"
    fields = {"processes": [name], "variables": list(variables)}
    message = f"{name} will not see {which}"
    return Record("start_method.variables_not_seen", WARNING, message, fields)


def notifications_ignored(name: str, count: int) -> Record:
    messages, were = ("message", "was") if count == 1 else ("messages", "were")
    message = f"{name}: {count} {messages} to its notify socket {were} ignored"
    fields = {"instance": name, "count": count}
    return Record("instance.notifications_ignored", WARNING, message, fields)


def search_given_up(name: str) -> Record:
    searched = "giving up the search"
    message = f"{name}: the LOG of its READY takes too long to match; {searched}"
    return Record("instance.search_given_up", WARNING, message, {"instance": name})


def killed_left_behind(processes: Sequence[tuple[str, int]]) -> Record:
    message = f"killed what was left behind: {_listed(processes)}"
    return Record("supervisor.killed_left_behind", WARNING, message, _by_name(processes))


def killed_orphans(name: str, processes: Sequence[tuple[str, int]]) -> Record:
    """The next life of the instance is about to start."""
    message = f"killed what was left behind by {name}: {_listed(processes)}"
    fields = {"instance": name, **_by_name(processes)}
    return Record("instance.killed_left_behind", WARNING, message, fields)


def survived_sigkill(processes: Sequence[tuple[str, int]], after: float) -> Record:
    message = f"SIGKILL did not end {_listed(processes)} within {after:g} s; exit status 1"
    fields = {**_by_name(processes), "seconds": after}
    return Record("supervisor.survived_sigkill", ERROR, message, fields)


def descendants_hidden() -> Record:
    message = "some processes are left behind: /proc does not show them, so they cannot be killed"
    return Record("supervisor.descendants_hidden", ERROR, message)


def memory_hidden() -> Record:
    message = "MAX_MEMORY has no effect: /proc does not show the processes, so nothing is measured"
    return Record("supervisor.memory_hidden", WARNING, message)


def control_failed(error: str) -> Record:
    """A client of the control socket could not be answered."""
    message = f"the control socket cannot answer: {error}"
    return Record("control.failed", WARNING, message)


def control_unavailable(why: str, *, chosen: bool) -> Record:
    """There is no control socket; this is an error if its path was `chosen` explicitly."""
    if chosen:
        return Record("control.refused", ERROR, f"the control socket cannot be used: {why}")
    hint = "set PRODSERVER_CONTROL to a path, or CONTROL to False"
    return Record("control.unavailable", WARNING, f"no control socket: {why}; {hint}")


def monitoring(address: str, public: bool) -> Record:
    message = f"MONITOR answers /healthz, /readyz and /metrics at {address}"
    if not public:
        return Record("monitor.listening", INFO, message)
    return Record("monitor.listening", WARNING, f"{message}, also to other machines")


def monitor_failed(address: str, why: str) -> Record:
    return Record("monitor.failed", ERROR, f"MONITOR cannot listen at {address}: {why}")


def control_in_use(why: str) -> Record:
    """Another supervisor has the socket, so nothing is started."""
    hint = "set PRODSERVER_CONTROL to another path to run both"
    return Record("control.refused", ERROR, f"this project is already running: {why}; {hint}")


def cannot_listen(process: str, why: str) -> Record:
    """Another program has taken the address since it was checked, so nothing is started."""
    fields = {"processes": [process]}
    return Record("listen.refused", ERROR, f"{process} {why}; nothing was started", fields)


def socket_not_used(name: str, address: str) -> Record:
    """No process listens on a socket that the service manager has passed."""
    message = f"LISTEN_FDS has a socket {name or address} ({address}) that no process uses"
    hint = "name it after a process, or give its address to a process"
    return Record("listen.not_used", WARNING, f"{message}: {hint}", {"socket": name})


def needs_restart(key: str) -> Record:
    """A reload has brought a new value that only a restart can apply."""
    message = f"{key} of PRODUCTION_SUPERVISOR is unchanged"
    hint = "a new value takes effect only after a restart"
    return Record("supervisor.needs_restart", WARNING, f"{message}: {hint}", {"key": key})


def code_changed(paths: Sequence[str]) -> Record:
    """Only in development."""
    first, *others = paths
    more = f" and {len(others)} other file{'' if len(others) == 1 else 's'}" if others else ""
    message = f"reloading: {printable(first)}{more} changed"
    return Record("code.changed", INFO, message, {"files": list(paths)})


def not_watched(why: str, pause: float) -> Record:
    """`pause` is in seconds."""
    again = f"trying again in {seconds(pause)}"
    message = f"the process that watches the code failed: {why}; {again}"
    return Record("code.not_watched", WARNING, message, {"reason": why})


def request_refused(verb: str, operator: Operator, why: str) -> Record:
    """The control server refused the request, so the group never received it."""
    message = f"{verb} refused ({requested_by(operator)}): {why}"
    fields = {"verb": verb, "uid": operator.uid, "operator_pid": operator.pid, "reason": why}
    return Record("operator.request", WARNING, message, fields)


def events_dropped(count: int) -> Record:
    """Too many events were waiting."""
    events = "event was" if count == 1 else "events were"
    message = f"{count} {events} dropped: the handlers of ON_EVENT are too slow"
    return Record("handlers.dropped", WARNING, message, {"count": count})


def handlers_failed(count: int, why: str) -> Record:
    """The process that was to pass these events to the handlers has failed."""
    events = "event" if count == 1 else "events"
    again = f"{count} {events} will not be delivered again"
    message = f"the handlers of ON_EVENT failed: {why}; {again}"
    return Record("handlers.failed", WARNING, message, {"count": count, "reason": why})


def handler_failed(path: str, failed: int, count: int, error: str) -> Record:
    message = f"the handler {path} failed for {failed} of {count} events: {error}"
    fields = {"handler": path, "failures": failed, "count": count, "error": error}
    return Record("handlers.failed", WARNING, message, fields)


def project_metrics_failed(why: str) -> Record:
    message = f"the metrics of the project are missing: {why}"
    return Record("metrics.failed", WARNING, message)


def lines_left_out(count: int) -> Record:
    lines = "line is" if count == 1 else "lines are"
    message = f"the log was not read: {count} {lines} left out here"
    return Record("supervisor.lines_left_out", WARNING, message, {"count": count})


def output_lost(size: int, stream: str) -> Record:
    message = f"{size} bytes of output were lost: {stream} did not accept more"
    return Record("supervisor.output_lost", ERROR, message, {"bytes": size, "output": stream})


# ---- words ----


def exit_status(status: ExitStatus) -> str:
    """`exited with status 1`, `was killed by SIGKILL`."""
    if status.signal is not None:
        return f"was killed by {signal_name(status.signal)}"
    return f"exited with status {status.code}"


def _these(names: Sequence[str]) -> str:
    return f" {', '.join(names)}" if names else ""


def _of(owners: Sequence[str]) -> str:
    return f" of {', '.join(owners)}" if owners else ""


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _plural(noun: str, names: Sequence[str]) -> str:
    return noun if len(names) == 1 else f"{noun}s"


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _and(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _listed(processes: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} (pid {pid})" for name, pid in processes)


def _by_name(processes: Sequence[tuple[str, int]]) -> dict[str, object]:
    return {"processes": [{"name": name, "pid": pid} for name, pid in processes]}


def _consequence(consequence: Optional[Consequence]) -> str:
    if consequence is None:
        return ""
    if isinstance(consequence, StopEverything):
        return "; stopping everything"
    if isinstance(consequence, Restart):
        pause = consequence.pause
        return f"; restarting in {pause:.2f} s" if pause else "; restarting"
    if isinstance(consequence, StandBy):
        return "; standing by"
    if isinstance(consequence, AwaitRun):
        return "; waiting for its next run"
    assert_never(consequence)


def fault(found: Fault) -> str:
    """Why it has to stop, as a phrase that follows its name."""
    if isinstance(found, NotReady):
        why = f" ({failure(found.failure)})" if found.failure else ""
        return f"was not ready within {found.within:.10g} s{why}"
    if isinstance(found, ChecksFailed):
        times = f", {found.retries} times in a row" if found.retries > 1 else ""
        return f"is unhealthy: {failure(found.failure)}{times}"
    if isinstance(found, WatchdogSilent):
        return f"is unhealthy: no WATCHDOG=1 for {found.within:g} s"
    if isinstance(found, WatchdogTriggered):
        return "is unhealthy: it sent WATCHDOG=trigger"
    if isinstance(found, TooMuchMemory):
        return f"uses {megabytes(found.used)}, its MAX_MEMORY is {megabytes(found.limit)}"
    if isinstance(found, WithoutLock):
        return f"has lost its lock: {found.error}"
    assert_never(found)


def _of_lock(fact: Union[AwaitsLock, HasLock, LockGone, DoneElsewhere]) -> str:
    if isinstance(fact, AwaitsLock):
        waits = "stands by" if fact.exclusion is Exclusion.SINGLETON else "waits for its lock"
        return f"{waits}: {fact.why}"
    if isinstance(fact, HasLock):
        return "has its lock; starting it"
    if isinstance(fact, LockGone):
        return f"has lost its lock: {fact.why}; it keeps running"
    return "need not run: another supervisor has done it"


def failure(found: ProbeFailure) -> str:
    return found if isinstance(found, str) else f"no answer within {found.within:g} s"


def _reload(fact: Union[ReloadBegun, Reloaded, ReloadFailed]) -> str:
    if isinstance(fact, ReloadBegun):
        return f"loading the project again (generation {fact.generation})"
    if isinstance(fact, Reloaded):
        return f"reloaded after {seconds(fact.after)} (generation {fact.generation})"
    then = "everything was rolled back" if fact.rolled_back else "nothing was changed"
    return f"reload failed: {reload_failure(fact.why)}; {then}"


def reload_failure(why: Union[str, RenewalFailed]) -> str:
    """Why a reload failed, without a full stop."""
    if isinstance(why, str):
        return why
    if why.cause is None:
        return f"{why.name} did not become ready"
    if isinstance(why.cause, Ended):
        return f"{why.name} {end(why.cause)}"
    if isinstance(why.cause, StartRefused):
        return f"{why.name} could not be started: {why.cause.error}"
    return f"{why.name} {fault(why.cause)}"


def _signal_effect(effect: SignalEffect) -> str:
    return {
        SignalEffect.STOP: "stopping everything",
        SignalEffect.KILL: "killing everything",
        SignalEffect.FORWARD: "passed on",
        SignalEffect.RELOAD: "reloading",
        SignalEffect.NOTHING: "ignored",
    }[effect]


def requested_by(operator: Operator) -> str:
    """`requested by uid 1000 (pid 77)`; a pid of 0 means another PID namespace."""
    pid = f" (pid {operator.pid})" if operator.pid else ""
    return f"requested by uid {operator.uid}{pid}"


def refusal(why: Refusal) -> str:
    return {
        Refusal.NO_SUCH_NAME: "no instance or process has that name",
        Refusal.STOPPING: "everything is being stopped",
        Refusal.NO_RELOAD: "this supervisor cannot load the project again: that requires Linux",
    }[why]


def end(ended: Ended) -> str:
    """How it ended; its state before tells a requested end from an unexpected one."""
    if ended.old is LifeState.KILLING:
        return "killed"
    if ended.finished:
        return f"finished after {seconds(ended.after)}"
    if ended.expected:
        return f"stopped after {seconds(ended.lasted)}"
    if ended.old is LifeState.STOPPING:
        status = exit_status(ended.status)
        return f"{status} while stopping, after {seconds(ended.lasted)}"
    return _unexpected(ended)


def _still_running(fact: StillRunning) -> str:
    """`web.1, worker.1`; `beat.1, web.1; worker.1: 2 tasks, oldest 14 s`."""
    silent = ", ".join(name for name in fact.names if name not in fact.reported)
    telling = [f"{name}: {fact.reported[name]}" for name in fact.names if name in fact.reported]
    return "; ".join([silent, *telling] if silent else telling)


def _unexpected(ended: Ended) -> str:
    """Everything that is known about an unexpected exit."""
    cause = ""
    if ended.out_of_memory:
        seen = f", {megabytes(ended.memory)} when last seen" if ended.memory else ""
        cause = f" (out of memory{seen})"
    elif ended.sent:
        cause = " (sent on request)"
    elif ended.meaning:
        cause = f" ({ended.meaning})"
    elif ended.status.signal == Signals.SIGKILL:
        # No software sends itself SIGKILL, so it came from outside.
        cause = " (not sent by prodserver)"
    parts = [f"{exit_status(ended.status)}{cause} after {seconds(ended.after)}"]
    if ended.old is LifeState.STARTING and not ended.oneshot:
        parts.append("before it was ready")
    if ended.reported:
        parts.append(f"reported: {ended.reported}")
    if ended.restarts:
        times = "once" if ended.restarts == 1 else f"{ended.restarts} times"
        parts.append(f"restarted {times} so far")
    return ", ".join(parts)


def _lost(lost: Lost, processes: Processes) -> str:
    """The processes that survived SIGKILL, by name and pid."""
    left = processes.members(lost.ref)
    named = f": {_listed(left)}" if left else f" (pid {processes.pid(lost.ref)})"
    after = f"survived SIGKILL for {lost.after:g} s"
    return f"{lost.ref.name} {after}{named}; no longer waiting for it"
