"""What the supervisor says about itself: a line for each effect worth a human's time, and a
notification for each that is worth the service manager's."""

from __future__ import annotations

from signal import Signals
from typing import Optional

from .model import (
    Alive,
    AllFinished,
    AllReady,
    AllStopped,
    Effect,
    LastStep,
    SignalTaken,
    State,
    StateChanged,
    StatusTold,
    StillRunning,
    Stopping,
    Unwell,
)


def line(effect: Effect) -> Optional[str]:
    """Put an effect into words; None for what nobody needs to read."""
    if isinstance(effect, StateChanged):
        return _changed(effect)
    if isinstance(effect, AllReady):
        return f"all {effect.count} ready after {seconds(effect.after)}"
    if isinstance(effect, AllFinished):
        return f"all {effect.count} finished after {seconds(effect.after)}"
    if isinstance(effect, SignalTaken):
        return f"{effect.signal.name} received; {effect.consequence}"
    if isinstance(effect, AllStopped):
        return f"all stopped after {seconds(effect.after)}; exit status {effect.status}"
    if isinstance(effect, StillRunning):
        names = ", ".join(effect.names)
        return f"still running: {names}; to be killed in {seconds(effect.left)}"
    if isinstance(effect, LastStep):
        return f"{effect.name} is still running; sending it {effect.signal.name}"
    if isinstance(effect, Unwell):
        count = f"{effect.failures} of {effect.retries}"
        return f"{effect.name} failed a health check ({count}): {effect.failure}"
    return None


def notification(effect: Effect) -> Optional[str]:
    """Put an effect into the words of sd_notify(3), for whoever supervises the supervisor."""
    if isinstance(effect, (AllReady, AllFinished)):
        return f"READY=1\nSTATUS={line(effect)}"
    if isinstance(effect, Stopping):
        return "STOPPING=1"
    if isinstance(effect, Alive):
        return "WATCHDOG=1"
    if isinstance(effect, StatusTold):
        return f"STATUS={effect.name}: {effect.status}"
    said = line(effect)
    return None if said is None else f"STATUS={said}"


def seconds(value: float) -> str:
    """Three digits are enough: `0.15 s`, `12.3 s`, `126 s`."""
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} s"


def megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def _changed(change: StateChanged) -> Optional[str]:
    name = change.name
    if change.new is State.RUNNING:
        return f"{name} ready after {seconds(change.after)} (pid {change.pid})"
    if change.new is State.FATAL:
        failed = "could not be started" if change.old is State.STARTING else "failed for good"
        return f"{name} {failed}: {change.reason}; {change.consequence}"
    if change.new is State.STOPPING and change.reason:
        return f"{name} {change.reason}; stopping it"
    if change.new is State.KILLING and change.reason:
        return f"{name} {change.reason}; killing it and its process group"
    if change.new is State.EXITED:
        consequence = f"; {change.consequence}" if change.consequence else ""
        return f"{name} {_end(change)}{consequence}"
    return None


def _end(change: StateChanged) -> str:
    """How it ended: as the old state says, asked or unasked."""
    if change.old is State.KILLING:
        return "killed"
    if change.expected:
        if change.old is State.STARTING:
            return f"finished after {seconds(change.after)}"
        return f"stopped after {seconds(change.lasted)}"
    if change.old is State.STOPPING:
        return f"{change.status} while stopping, after {seconds(change.lasted)}"
    return _unasked(change)


def _unasked(change: StateChanged) -> str:
    """Everything that is known about an end that nobody asked for."""
    assert change.status is not None
    cause = ""
    if change.out_of_memory:
        seen = f", {megabytes(change.memory)} when last seen" if change.memory else ""
        cause = f" (out of memory{seen})"
    elif change.status.signal == Signals.SIGKILL:
        # Nothing in a process sends itself SIGKILL.
        cause = " from outside"
    facts = [f"{change.status}{cause} after {seconds(change.after)}"]
    if not change.ready:
        facts.append("before it was ready")
    if change.reason:
        facts.append(f"having said: {change.reason}")
    if change.restarts:
        times = "once" if change.restarts == 1 else f"{change.restarts} times"
        facts.append(f"restarted {times} so far")
    return ", ".join(facts)
