"""What the supervisor says about itself: a sentence for each fact that is worth a human's time.

All sentences of its own lines in the log are made here, and so are its notifications to a service
manager such as systemd.
"""

from __future__ import annotations

from collections.abc import Sequence
from signal import Signals
from typing import Callable, Optional

from .events import ExitStatus, signal_name
from .facts import (
    Alive,
    AllFinished,
    AllReady,
    AllStopped,
    CheckFailed,
    ChecksFailed,
    Consequence,
    Ended,
    Escalated,
    Fact,
    Fault,
    Killing,
    LifeState,
    Lost,
    NotChecked,
    NotReady,
    Observer,
    ProbeFailure,
    Ready,
    Refusal,
    RequestRefused,
    Restart,
    SignalEffect,
    SignalReceived,
    Started,
    StartLimitReached,
    StartRefused,
    StateChanged,
    StatusReported,
    StillRunning,
    StopEverything,
    Stopping,
    StoppingAll,
    TooMuchMemory,
    Unheard,
    Updated,
    WaitingToFinish,
    WatchdogSilent,
    WatchdogTriggered,
)
from .record import ERROR, INFO, WARNING, Record, record
from .system import Processes
from .text import printable
from .values import assert_never


def to_log(say: Callable[[Record], None], processes: Processes) -> Observer:
    """Observe facts, and say a line for each that is worth one."""

    def observe(fact: Fact) -> None:
        said = line(fact, processes)
        if said is not None:
            say(record(fact, said, processes))

    return observe


def to_service_manager(tell: Callable[[str], None], processes: Processes) -> Observer:
    """Observe facts, and tell the service manager, in the words of sd_notify(3)."""

    def observe(fact: Fact) -> None:
        told = notification(fact, processes)
        if told is not None:
            tell(told)

    return observe


def line(fact: Fact, processes: Processes) -> Optional[str]:
    """Put a fact into words; None for what does not need to be read."""
    if isinstance(fact, Ready):
        pid = processes.pid(fact.ref)
        return f"{fact.ref.name} ready after {seconds(fact.after)} (pid {pid})"
    if isinstance(fact, Started):
        return f"{fact.ref.name} started (pid {processes.pid(fact.ref)})"
    if isinstance(fact, Ended):
        return f"{fact.ref.name} {_end(fact)}{_consequence(fact.consequence)}"
    if isinstance(fact, Stopping):
        if fact.fault is None:
            return None
        return f"{fact.ref.name} {_fault(fact.fault)}; stopping it"
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
        return f"{fact.ref.name} failed a health check ({count}): {_failure(fact.failure)}"
    if isinstance(fact, NotChecked):
        return f"{fact.ref.name} could not be checked: {fact.error}; trying again"
    if isinstance(fact, Unheard):
        return f"{fact.ref.name}: strangers flood its notify socket; not counting its silence"
    if isinstance(fact, StartRefused):
        return f"{fact.name} could not be started: {fact.error}{_consequence(fact.consequence)}"
    if isinstance(fact, StartLimitReached):
        limit = f"{fact.starts} starts in {fact.interval:g} s, its START_LIMIT"
        return f"{fact.name} failed for good: {limit}{_consequence(fact.consequence)}"
    if isinstance(fact, Updated):
        return None if fact.replaced else f"{fact.name} was not replaced: the new one failed"
    if isinstance(fact, AllReady):
        return f"all {fact.count} ready after {seconds(fact.after)}"
    if isinstance(fact, AllFinished):
        return f"all {fact.count} finished after {seconds(fact.after)}"
    if isinstance(fact, StillRunning):
        return f"still running: {', '.join(fact.names)}; to be killed in {seconds(fact.left)}"
    if isinstance(fact, WaitingToFinish):
        return f"waiting up to {seconds(fact.left)} for {', '.join(fact.names)} to finish"
    if isinstance(fact, SignalReceived):
        return f"{fact.signal.name} received; {_signal_effect(fact.effect)}"
    if isinstance(fact, AllStopped):
        return f"all stopped after {seconds(fact.after)}; exit status {fact.status}"
    if isinstance(fact, RequestRefused):
        return f"{fact.name}: {_refusal(fact.why)}; nothing was changed"
    if isinstance(fact, (StateChanged, StatusReported, StoppingAll, Alive)):
        return None
    assert_never(fact)


def notification(fact: Fact, processes: Processes) -> Optional[str]:
    """Put a fact into the words of sd_notify(3)."""
    if isinstance(fact, (AllReady, AllFinished)):
        return f"READY=1\n{_status(line(fact, processes) or '')}"
    if isinstance(fact, StoppingAll):
        return "STOPPING=1"
    if isinstance(fact, Alive):
        return "WATCHDOG=1"
    if isinstance(fact, StatusReported):
        return _status(f"{fact.ref.name}: {fact.status}")
    said = line(fact, processes)
    return None if said is None else _status(said)


def _status(text: str) -> str:
    # A second line of it would be an assignment of its own.
    return f"STATUS={printable(text)}"


# ---- lines that are not about a fact of the core ----


def going_on(warning: str) -> Record:
    """Of what the preload could not find out."""
    return Record("supervisor.preload", WARNING, warning)


def not_waiting(name: str, disabled: Sequence[str]) -> Record:
    """Of a process whose AFTER has others that are disabled."""
    are = "which is disabled" if len(disabled) == 1 else "which are disabled"
    message = f"{name} does not wait for {', '.join(disabled)}, {are}"
    fields = {"processes": [name], "disabled": list(disabled)}
    return Record("process.not_waiting", INFO, message, fields)


def supervising(names: Sequence[str], python: str, django: str, preload: float) -> Record:
    versions = f"python {python}, django {django}"
    message = f"supervising {', '.join(names)} ({versions}, preloaded in {seconds(preload)})"
    fields = {"instances": list(names), "python": python, "django": django}
    return Record("supervisor.starting", INFO, message, {**fields, "seconds": round(preload, 3)})


def refused(problem: str) -> Record:
    """Nothing was started; the problem may have several lines."""
    return Record("supervisor.refused", ERROR, problem)


def serving(names: Sequence[str], url: str) -> Record:
    """`names` are of instances."""
    fields = {"instances": list(names), "url": url}
    return Record("instance.serving", INFO, f"{', '.join(names)} {url}", fields)


def spawned_for_threads(names: Sequence[str], threads: Sequence[str]) -> Record:
    """`names` is empty where these are all processes."""
    processes = f" {', '.join(names)}" if names else ""
    plural = "s" if len(threads) > 1 else ""
    which = f"the thread{plural} {', '.join(map(repr, threads))}"
    message = f"starting{processes} by spawn: the preload left {which} running"
    fields = {"processes": list(names), "threads": list(threads)}
    return Record("start_method.spawn", WARNING, message, fields)


def thread_not_forked(name: str) -> Record:
    left = f"the preload left the thread {name!r} running"
    message = f"{left}, which no process will have: start it in the processes instead"
    return Record("start_method.thread_not_forked", WARNING, message, {"threads": [name]})


def spawned_for_variables(name: str, variables: Sequence[str]) -> Record:
    read = f"its ENV sets {', '.join(variables)}, which is read already"
    fields = {"processes": [name], "variables": list(variables)}
    return Record("start_method.spawn", INFO, f"starting {name} by spawn: {read}", fields)


def variables_not_seen(name: str, variables: Sequence[str]) -> Record:
    which = f"the {', '.join(variables)} of its ENV, which is read already"
    fields = {"processes": [name], "variables": list(variables)}
    message = f"{name} will not see {which}"
    return Record("start_method.variables_not_seen", WARNING, message, fields)


def notifications_ignored(name: str, count: int) -> Record:
    messages, were = ("message", "was") if count == 1 else ("messages", "were")
    message = f"{name}: {count} {messages} to its notify socket {were} ignored"
    fields = {"instance": name, "count": count}
    return Record("instance.notifications_ignored", WARNING, message, fields)


def search_given_up(name: str) -> Record:
    searched = "it is not searched any more"
    message = f"{name}: the LOG of its READY takes too long to search for; {searched}"
    return Record("instance.search_given_up", WARNING, message, {"instance": name})


def killed_left_behind(processes: Sequence[tuple[str, int]]) -> Record:
    message = f"killed what was left behind: {_listed(processes)}"
    return Record("supervisor.killed_left_behind", WARNING, message, _by_name(processes))


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


def lines_left_out(count: int) -> Record:
    lines = "line is" if count == 1 else "lines are"
    message = f"the log was not read: {count} {lines} left out here"
    return Record("supervisor.lines_left_out", WARNING, message, {"count": count})


def output_lost(size: int, stream: str) -> Record:
    message = f"{size} bytes of output were lost: {stream} took no more"
    return Record("supervisor.output_lost", ERROR, message, {"bytes": size, "output": stream})


# ---- words ----


def seconds(value: float) -> str:
    """Three digits are enough: `0.15 s`, `12.3 s`, `126 s`."""
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} s"


def megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def exit_status(status: ExitStatus) -> str:
    """`exited with status 1`, `was killed by SIGKILL`."""
    if status.signal is not None:
        return f"was killed by {signal_name(status.signal)}"
    return f"exited with status {status.code}"


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
    assert_never(consequence)


def _fault(fault: Fault) -> str:
    """Why it has to stop, as what stands behind its name."""
    if isinstance(fault, NotReady):
        why = f" ({_failure(fault.failure)})" if fault.failure else ""
        return f"was not ready within {fault.within:.10g} s{why}"
    if isinstance(fault, ChecksFailed):
        times = f", {fault.retries} times in a row" if fault.retries > 1 else ""
        return f"is unhealthy: {_failure(fault.failure)}{times}"
    if isinstance(fault, WatchdogSilent):
        return f"is unhealthy: no WATCHDOG=1 for {fault.within:g} s"
    if isinstance(fault, WatchdogTriggered):
        return "is unhealthy: it said WATCHDOG=trigger"
    if isinstance(fault, TooMuchMemory):
        return f"uses {megabytes(fault.used)}, its MAX_MEMORY is {megabytes(fault.limit)}"
    assert_never(fault)


def _failure(failure: ProbeFailure) -> str:
    return failure if isinstance(failure, str) else f"no answer within {failure.within:g} s"


def _signal_effect(effect: SignalEffect) -> str:
    return {
        SignalEffect.STOP: "stopping everything",
        SignalEffect.KILL: "killing everything",
        SignalEffect.FORWARD: "passed on",
        SignalEffect.NOTHING: "ignored",
    }[effect]


def _refusal(why: Refusal) -> str:
    return {
        Refusal.NO_SUCH_NAME: "no instance or process has that name",
        Refusal.STOPPING: "everything is being stopped",
    }[why]


def _end(ended: Ended) -> str:
    """How it ended: as its state before says, on request or on its own."""
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


def _unexpected(ended: Ended) -> str:
    """Everything that is known about an end that was not requested."""
    cause = ""
    if ended.out_of_memory:
        seen = f", {megabytes(ended.memory)} when last seen" if ended.memory else ""
        cause = f" (out of memory{seen})"
    elif ended.status.signal == Signals.SIGKILL:
        # Nothing in a process sends itself SIGKILL.
        cause = " from outside"
    parts = [f"{exit_status(ended.status)}{cause} after {seconds(ended.after)}"]
    if ended.old is LifeState.STARTING and not ended.oneshot:
        parts.append("before it was ready")
    if ended.reported:
        parts.append(f"having said: {ended.reported}")
    if ended.restarts:
        times = "once" if ended.restarts == 1 else f"{ended.restarts} times"
        parts.append(f"restarted {times} so far")
    return ", ".join(parts)


def _lost(lost: Lost, processes: Processes) -> str:
    """Who SIGKILL did not end, by name and pid."""
    left = processes.members(lost.ref)
    named = f": {_listed(left)}" if left else f" (pid {processes.pid(lost.ref)})"
    after = f"survived SIGKILL for {lost.after:g} s"
    return f"{lost.ref.name} {after}{named}; no longer waiting for it"
