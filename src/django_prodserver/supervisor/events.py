"""Events: what the operating system and operators tell the supervisor."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from signal import Signals

from .hints import Optional, Union
from .spec import Goal, Ref, Spec
from .values import Value


class ExitStatus(Value):
    """How a process ended: by a status of its own, or by a signal. Exactly one is not None."""

    code: Optional[int] = None
    signal: Optional[int] = None
    # The kernel says that it has written its memory to a file, or piped it to a program.
    dumped_core: bool = False

    @property
    def shell(self) -> int:
        """One number for both, as shells have it: the status, or 128 + the signal's number."""
        if self.signal is not None:
            return 128 + self.signal
        assert self.code is not None
        return self.code


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; real-time signals have numbers only."""
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


class Spawned(Value):
    """The life exists: its leader is a process."""

    ref: Ref


class SpawnFailed(Value):
    """The operating system refused, in its own words: `error`; or the start was cancelled."""

    ref: Ref
    error: str
    # As in `Exited`.
    jitter: float = 0.0


class Exited(Value):
    """The leader of a life ended and is reaped; all that it wrote has been read."""

    ref: Ref
    status: ExitStatus
    # The kernel killed a process of this control group for lack of memory since the last exit.
    out_of_memory: bool = False
    # A random number from 0 to 1, in case the instance is restarted after a pause.
    jitter: float = 0.0


class GroupGone(Value):
    """The process group of a leader that exited is empty."""

    ref: Ref


class WatchdogMessage(enum.Enum):
    """What a life may report about its own health."""

    PING = "1"
    TRIGGER = "trigger"


class Notified(Value):
    """A life sent a message of the sd_notify protocol (sd_notify(3))."""

    ref: Ref
    ready: bool = False
    status: Optional[str] = None
    stopping: bool = False
    # Seconds from now, until which a timeout is not to expire.
    extend_timeout: Optional[float] = None
    watchdog: Optional[WatchdogMessage] = None
    # The system's text for the ERRNO in the message.
    error: str = ""


class NotifyFlooded(Value):
    """Strangers keep the queue full to which a life reports: what it says may be lost."""

    ref: Ref


class Probed(Value):
    """A probe ended; `failure` says why it failed, and is empty on success."""

    ref: Ref
    failure: str = ""


class ProbeRefused(Value):
    """The operating system refused to begin a probe; `error` is its own text.

    Of the life that says nothing.
    """

    ref: Ref
    error: str


class ReadyLine(Value):
    """A line of its output is the one by which a life tells that it is ready."""

    ref: Ref


class Measured(Value):
    """The memory of a life's whole process tree, in bytes."""

    ref: Ref
    memory: int


class RunPlanned(Value):
    """The next run of an instance is in so many seconds.

    So many runs were left out before: the last one took too long, or everything was asleep.
    """

    name: str
    after: float
    left_out: int = 0


class LoadMeasured(Value):
    """The load of a process: `value`, or of each of its instances, or both.

    Or neither is known; then `why` may be a clause such as "connection refused", and is empty where
    there is nothing to say.
    """

    process: str
    value: Optional[float] = None
    of_instances: Optional[Mapping[str, float]] = None
    why: str = ""


class LockTaken(Value):
    """The lock of an instance is held."""

    name: str


class LockBusy(Value):
    """The lock of an instance cannot be had yet; `why` is a clause such as "web-2 has it"."""

    name: str
    why: str


class LockUsed(Value):
    """Another supervisor had the lock of an instance, and has done what that is for."""

    name: str


class LockLost(Value):
    """The lock of an instance may be another's by now; it is being taken again."""

    name: str
    why: str


class Signalled(Value):
    """A signal reached the supervisor."""

    signal: Signals


class OutputGone(Value):
    """The reader of the supervisor's stdout is gone (EPIPE)."""


class OutputStalled(Value):
    """The supervisor's output takes no more; what was written to it waits."""


class OutputResumed(Value):
    """The supervisor's output takes more again."""


class PreloadFailed(Value):
    """Code for a later start cannot be loaded; `message` is a sentence that says why."""

    message: str
    # Of that load of the project.
    generation: int = 0


class Loaded(Value):
    """The project is loaded once more, and new addresses are bound: this is to run from now on."""

    generation: int
    specs: tuple[Spec, ...]


class LoadFailed(Value):
    """It could not be, and has changed nothing; `message` is a sentence that says why."""

    generation: int
    message: str


# ---- requests of operators: these are inputs too ----


class GoalRequest(Value):
    """Start or stop an instance, or all instances of a process."""

    name: str
    goal: Goal


class RestartRequest(Value):
    """Replace an instance, or all instances of a process one by one."""

    name: str


class ScaleRequest(Value):
    """Set the number of instances of a process that should be up."""

    process: str
    count: int


class SignalRequest(Value):
    """Send a signal to the leader of an instance, or of each instance of a process."""

    name: str
    signal: Signals


class ShutdownRequest(Value):
    """Stop everything, as SIGTERM does."""


class ReloadRequest(Value):
    """Load the project and the settings once more, and let everything run what that brings."""

    # That of what was `Asked`.
    number: Optional[int] = None


Request = Union[
    GoalRequest, RestartRequest, ScaleRequest, SignalRequest, ShutdownRequest, ReloadRequest
]


class Operator(Value):
    """The process that asks for something, and its user; 0 for a pid that cannot be seen here."""

    uid: int
    pid: int


class Asked(Value):
    """What an operator asks for at once: all of it is granted, or nothing.

    `verb` is the word for it, such as "restart", and `names` is what it was asked of: `web`,
    `web=4`, or `web` and `SIGUSR1`. `number` tells it from all others.
    """

    number: int
    by: Operator
    verb: str
    names: tuple[str, ...]
    requests: tuple[Request, ...]


LifeEvent = Union[
    Spawned,
    SpawnFailed,
    Exited,
    GroupGone,
    Notified,
    NotifyFlooded,
    ReadyLine,
    Probed,
    ProbeRefused,
    Measured,
]
LockEvent = Union[LockTaken, LockBusy, LockUsed, LockLost]
Event = Union[
    LifeEvent,
    LockEvent,
    RunPlanned,
    LoadMeasured,
    Signalled,
    OutputGone,
    OutputStalled,
    OutputResumed,
    PreloadFailed,
    Loaded,
    LoadFailed,
    Request,
    Asked,
]
