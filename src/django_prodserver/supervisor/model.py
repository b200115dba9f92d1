"""The words of the supervisor: what is run, what happens to it, what is to be done about it.

A *happening* comes in from the operating system, an *effect* goes out to it. Both are values:
a test compares lists of them, and nothing here can block, fail or ask what time it is.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from signal import Signals
from typing import Optional, Union

# In seconds: what is left of a dead leader's process group has this long to end by itself; a stop
# that takes longer than this is worth a line; how often memory is looked at, and a connection is
# tried, and how long such a try may take.
SWEEP_AFTER = 1.0
SLOW_STOP = 1.0
MEASURE_EVERY = 10.0
CONNECT_EVERY = 0.125
CONNECT_TIMEOUT = 1.0

# What recycles itself is started at once, but not more often than once in so many seconds: one
# that finds nothing to do would keep a processor busy with its starts.
SHORTEST_CYCLE = 0.125

# The second step of a stop comes after this part of the stop timeout.
LAST_SIGNAL_AFTER = 0.7
# A pause is shorter by at most this part of it, by chance: what failed at once is not to come back
# at once.
JITTER = 0.25


class State(enum.Enum):
    """The life of one instance, in supervisord's words."""

    STOPPED = "not started yet, or not to be started any more"
    WAITING = "to be started after others are ready or finished"
    STARTING = "started, not ready; a oneshot until it ends"
    RUNNING = "ready"
    STOPPING = "asked to stop by its stop signal"
    KILLING = "sent SIGKILL"
    EXITED = "ended; what is left of its process group is swept"
    BACKOFF = "ended; to be started anew after a pause"
    FATAL = "failed for good"


class Restart(enum.Enum):
    """What is done when an instance has ended unasked."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


@dataclass(frozen=True)
class HealthCheck:
    """When a running instance is probed, in seconds; Docker's words and meanings."""

    interval: float = 10.0
    timeout: float = 3.0
    # So many failures in a row make it unhealthy.
    retries: int = 3
    # Failures do not count so soon after the start, unless a probe has succeeded before.
    start_period: float = 0.0


@dataclass(frozen=True)
class Spec:
    """What the decisions need to know about one instance; how to run it is the edge's business.

    Times are in seconds, sizes in bytes.
    """

    name: str
    # It is meant to finish with 0, and not to run for ever.
    oneshot: bool = False
    # Names of instances: it is started once they are ready, or finished, and stopped before them.
    after: frozenset[str] = frozenset()
    stop_signal: Signals = Signals.SIGTERM
    stop_timeout: float = 25.0
    # The stop signal goes to the whole process group: for a shell, which does not pass it on.
    stop_group: bool = False
    # A second step, between the stop signal and SIGKILL.
    last_signal: Optional[Signals] = None
    # It says itself when it is ready (READY=1), or it is ready once a connection to it succeeds;
    # with neither it is ready once it is started.
    notifies: bool = False
    connects: bool = False
    ready_timeout: float = 60.0
    # Exit statuses that mean success after it was asked to stop, beside 0 and the stop signal.
    success: frozenset[int] = frozenset()
    # Signals to the supervisor that are passed on, because the software gives them a meaning.
    forwards: frozenset[Signals] = frozenset()
    restart: Restart = Restart.NEVER
    # By its own options it ends with 0 after some work, to be started anew.
    recycles: bool = False
    # The pause before a restart doubles from the first to the second of these.
    backoff_initial: float = 0.5
    backoff_max: float = 30.0
    # More starts than that in the interval are too many. After as long in RUNNING the next pause is
    # the first one again.
    start_burst: int = 5
    start_interval: float = 60.0
    healthcheck: Optional[HealthCheck] = None
    # Silence (no WATCHDOG=1) for longer than this counts as unhealthy.
    watchdog: Optional[float] = None
    max_memory: Optional[int] = None


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
    # The kernel killed somebody of this control group for want of memory since the last exit.
    out_of_memory: bool = False
    # A random number from 0 to 1, in case that it is to be started anew.
    jitter: float = 0.0


@dataclass(frozen=True)
class GroupGone:
    """Nobody is left in the process group of a leader that exited."""

    pid: int


class Watchdog(enum.Enum):
    """What an instance may say about its own health."""

    PING = "1"
    TRIGGER = "trigger"


@dataclass(frozen=True)
class Notified:
    """An instance said something by the sd_notify protocol (sd_notify(3))."""

    pid: int
    ready: bool = False
    status: Optional[str] = None
    stopping: bool = False
    # Seconds from now on, until which a timeout is not to expire.
    extend_timeout: Optional[float] = None
    watchdog: Optional[Watchdog] = None
    # The system's words for the ERRNO that it named.
    error: str = ""


@dataclass(frozen=True)
class Probed:
    """A probe came to an end; `failure` says why it was none to be glad of, and is empty if so."""

    pid: int
    failure: str = ""


@dataclass(frozen=True)
class Measured:
    """The memory of an instance's whole process tree, in bytes."""

    pid: int
    memory: int


@dataclass(frozen=True)
class Signalled:
    """A signal reached the supervisor."""

    signal: Signals


@dataclass(frozen=True)
class OutputGone:
    """Nobody reads the supervisor's stdout any more (EPIPE)."""


AboutInstance = Union[Exited, GroupGone, Notified, Probed, Measured]
Happening = Union[AboutInstance, Signalled, OutputGone]


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


class Probe(enum.Enum):
    """What a probe is to find out."""

    READY = "whether a connection to its address succeeds"
    HEALTH = "whether its HEALTHCHECK does"


@dataclass(frozen=True)
class StartProbe:
    """Begin a probe, in place of one that may be under way. The answer is a `Probed`."""

    pid: int
    probe: Probe


@dataclass(frozen=True)
class CancelProbe:
    """End the probe that is under way: it took too long, and no answer is wanted any more."""

    pid: int


@dataclass(frozen=True)
class Measure:
    """Add up the memory of the instance's process tree. The answer is a `Measured`."""

    pid: int


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
    # False while it should have become ready; how often it was restarted before.
    ready: bool = True
    restarts: int = 0
    # Of an end: how it came. It is expected if it was asked for, or is what a oneshot is meant to.
    status: Optional[ExitStatus] = None
    expected: bool = False
    out_of_memory: bool = False
    # The last that was seen of its memory, in bytes.
    memory: Optional[int] = None
    # Why it had to change, where the states alone do not tell, and what follows from it.
    reason: str = ""
    consequence: str = ""


@dataclass(frozen=True)
class Unwell:
    """A probe failed, and not yet often enough for the instance to be unhealthy."""

    name: str
    failure: str
    failures: int
    retries: int


@dataclass(frozen=True)
class StatusTold:
    """An instance said in words how it is."""

    name: str
    status: str


@dataclass(frozen=True)
class StillRunning:
    """A stop takes its time: who is still running, and in how many seconds all will be killed."""

    names: tuple[str, ...]
    left: float


@dataclass(frozen=True)
class LastStep:
    """The stop signal was not enough: a second one is sent, before SIGKILL."""

    name: str
    signal: Signals


@dataclass(frozen=True)
class AllReady:
    """Every instance has been ready at once, or finished, for the first time."""

    count: int
    after: float


@dataclass(frozen=True)
class AllFinished:
    """Every instance was a oneshot, and did what it had to do."""

    count: int
    after: float


@dataclass(frozen=True)
class SignalTaken:
    """A signal reached the supervisor, and what follows from it."""

    signal: Signals
    consequence: str


@dataclass(frozen=True)
class Stopping:
    """From here on everything is being stopped."""


@dataclass(frozen=True)
class Alive:
    """The supervisor is in its senses: for whoever watches over it."""


@dataclass(frozen=True)
class AllStopped:
    """Nothing is left: the supervisor ends with this exit status."""

    status: int
    # Seconds since the first reason to stop.
    after: float


Effect = Union[
    Spawn,
    Kill,
    StartProbe,
    CancelProbe,
    Measure,
    StateChanged,
    Unwell,
    StatusTold,
    StillRunning,
    LastStep,
    AllReady,
    AllFinished,
    SignalTaken,
    Stopping,
    Alive,
    AllStopped,
]
