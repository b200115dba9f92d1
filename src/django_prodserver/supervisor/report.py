"""What the supervisor says about itself: one line for each effect worth a human's time."""

from __future__ import annotations

from signal import Signals
from typing import Optional

from .model import AllReady, AllStopped, Effect, SignalTaken, State, StateChanged


def line(effect: Effect) -> Optional[str]:
    """Put an effect into words; None for what nobody needs to read."""
    if isinstance(effect, StateChanged):
        return _changed(effect)
    if isinstance(effect, AllReady):
        return f"all {effect.count} ready after {seconds(effect.after)}"
    if isinstance(effect, SignalTaken):
        return f"{effect.signal.name} received; {effect.detail}"
    if isinstance(effect, AllStopped):
        return f"all stopped after {seconds(effect.after)}; exit status {effect.status}"
    return None


def seconds(value: float) -> str:
    """Three digits are enough: `0.15 s`, `12.3 s`, `126 s`."""
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} s"


def _changed(change: StateChanged) -> Optional[str]:
    if change.new is State.RUNNING:
        return f"{change.name} ready after {seconds(change.after)} (pid {change.pid})"
    if change.new is State.FATAL:
        return f"{change.name} could not be started: {change.detail}"
    if change.new is State.KILLING and change.detail:
        return f"{change.name} {change.detail}; killing it and its process group"
    if change.new is State.EXITED:
        return _ended(change)
    return None


def _ended(change: StateChanged) -> str:
    if change.old is State.KILLING:
        return f"{change.name} killed"
    if change.expected:
        return f"{change.name} stopped after {seconds(change.lasted)}"
    if change.old is State.STOPPING:
        return f"{change.name} {change.status} while stopping, after {seconds(change.lasted)}"
    assert change.status is not None
    # Nothing in a process sends itself SIGKILL: an operator did, or the kernel for want of memory.
    outside = " from outside" if change.status.signal == Signals.SIGKILL else ""
    consequence = f"; {change.detail}" if change.detail else ""
    return f"{change.name} {change.status}{outside} after {seconds(change.after)}{consequence}"
