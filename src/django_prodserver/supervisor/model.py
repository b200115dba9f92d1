"""The words of the supervisor: what is run, what happens to it, what is to be done about it.

A *happening* comes in from the operating system, an *effect* goes out to it. Both are values:
a test compares lists of them, and nothing here can block, fail or ask what time it is.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from signal import Signals
from typing import Optional, Union

# What is left of a dead leader's process group has this long to end by itself, in seconds.
SWEEP_AFTER = 1.0


class State(enum.Enum):
    """The life of one instance, in supervisord's words."""

    STOPPED = "not started yet, or never to be"
    STARTING = "started, not ready"
    RUNNING = "ready"
    STOPPING = "asked to stop by its stop signal"
    KILLING = "sent SIGKILL"
    EXITED = "ended; what is left of its process group is swept"
    FATAL = "could not be started"


@dataclass(frozen=True)
class Spec:
    """What the decisions need to know about one instance; how to run it is the edge's business."""

    name: str
    stop_signal: Signals = Signals.SIGTERM
    stop_timeout: float = 25.0
    # The stop signal goes to the whole process group: for a shell, which does not pass it on.
    stop_group: bool = False
    # It says itself when it is ready (READY=1); otherwise it is ready once it is started.
    notifies: bool = False
    # Exit statuses that mean success after it was asked to stop, beside 0 and the stop signal.
    success: frozenset[int] = frozenset()
    # Signals to the supervisor that are passed on, because the software gives them a meaning.
    forwards: frozenset[Signals] = frozenset()


@dataclass(frozen=True)
class ExitStatus:
    """How a process ended: by a status of its own, or by a signal. Exactly one is not None."""

    code: Optional[int] = None
    signal: Optional[int] = None

    @property
    def shell(self) -> int:
        """One number for both, as shells have it: the status, or 128 + the signal's number."""
        if self.signal is not None:
            return 128 + self.signal
        assert self.code is not None
        return self.code

    def __str__(self) -> str:
        if self.signal is not None:
            return f"was killed by {signal_name(self.signal)}"
        return f"exited with status {self.code}"


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; real-time signals have numbers only."""
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


# ---- happenings: the operating system tells the supervisor ----


@dataclass(frozen=True)
class Exited:
    """A leader ended and is reaped; all that it wrote has been read."""

    pid: int
    status: ExitStatus


@dataclass(frozen=True)
class GroupGone:
    """Nobody is left in the process group of a leader that exited."""

    pid: int


@dataclass(frozen=True)
class Ready:
    """An instance said READY=1."""

    pid: int


@dataclass(frozen=True)
class Signalled:
    """A signal reached the supervisor."""

    signal: Signals


@dataclass(frozen=True)
class OutputGone:
    """Nobody reads the supervisor's stdout any more (EPIPE)."""


Happening = Union[Exited, GroupGone, Ready, Signalled, OutputGone]


# ---- effects: the supervisor tells the operating system, and whoever listens ----


@dataclass(frozen=True)
class Spawn:
    """Start the instance. The answer is `spawned` or `spawn_failed`."""

    name: str


@dataclass(frozen=True)
class Kill:
    """Send a signal to the leader, or to its whole process group."""

    pid: int
    signal: Signals
    group: bool = False


@dataclass(frozen=True)
class StateChanged:
    """The one fact about an instance that log lines, readiness and metrics are made from."""

    name: str
    old: State
    new: State
    pid: Optional[int] = None
    # Seconds since the instance was started, and seconds that it spent in the old state.
    after: float = 0.0
    lasted: float = 0.0
    status: Optional[ExitStatus] = None
    # It ended as it was asked to: in time, and in a way that means success.
    expected: bool = False
    # Why it had to change, where the states alone do not tell; what follows from it.
    detail: str = ""


@dataclass(frozen=True)
class AllReady:
    """Every instance has been ready at once for the first time."""

    count: int
    after: float


@dataclass(frozen=True)
class SignalTaken:
    """A signal reached the supervisor, and what follows from it."""

    signal: Signals
    detail: str


@dataclass(frozen=True)
class AllStopped:
    """Nothing is left: the supervisor ends with this exit status."""

    status: int
    # Seconds since the first reason to stop.
    after: float


Effect = Union[Spawn, Kill, StateChanged, AllReady, SignalTaken, AllStopped]
