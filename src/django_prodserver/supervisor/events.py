"""Events: what the operating system and operators tell the supervisor."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from signal import Signals

from .hints import Optional, Union
from .spec import Goal, Ref, Spec
from .values import Value


class ExitStatus(Value):
    """How a process ended: with an exit status, or by a signal. Exactly one is not None."""

    code: Optional[int] = None
    signal: Optional[int] = None
    # The kernel reports a core dump, written to a file or piped to a program.
    dumped_core: bool = False

    @property
    def shell(self) -> int:
        """One number for both, as in a shell: the status, or 128 + the number of the signal."""
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
    """The life exists: its leader has been started."""

    ref: Ref


class SpawnFailed(Value):
    """The operating system refused the start (`error` is its text), or it was cancelled."""

    ref: Ref
    error: str
    # As in `Exited`.
    jitter: float = 0.0


class Exited(Value):
    """The leader of a life exited and was reaped; all of its output has been read."""

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
    # A timeout must not expire for this many seconds from now.
    extend_timeout: Optional[float] = None
    watchdog: Optional[WatchdogMessage] = None
    # The system's text for the ERRNO in the message.
    error: str = ""


class NotifyFlooded(Value):
    """Other processes keep the notify queue of a life full, so its messages may be lost."""

    ref: Ref


class Probed(Value):
    """A probe ended; `failure` says why it failed, and is empty on success."""

    ref: Ref
    failure: str = ""


class ProbeRefused(Value):
    """The operating system refused to begin a probe; `error` is its text.

    This says nothing about the life.
    """

    ref: Ref
    error: str


class ReadyLine(Value):
    """The output of a life contains the line that says it is ready."""

    ref: Ref


class Measured(Value):
    """The memory of a life's whole process tree, in bytes."""

    ref: Ref
    memory: int


class RunPlanned(Value):
    """The next run of an instance is due in `after` seconds.

    `left_out` runs before it were skipped: the last run took too long, or the machine was asleep.
    """

    name: str
    after: float
    left_out: int = 0


class LoadMeasured(Value):
    """The load of a process as a whole, of each of its instances, or both.

    If neither is known, `why` may be a clause such as "connection refused"; it is empty if there is
    nothing to report.
    """

    process: str
    value: Optional[float] = None
    of_instances: Optional[Mapping[str, float]] = None
    why: str = ""


class LockTaken(Value):
    """The supervisor has the lock of an instance."""

    name: str


class LockBusy(Value):
    """The lock of an instance is not available yet; `why` is a clause such as "web-2 has it"."""

    name: str
    why: str


class LockUsed(Value):
    """Another supervisor had the lock of an instance, and has done the work under it."""

    name: str


class LockLost(Value):
    """Another supervisor may have the lock of an instance by now; it is being taken again."""

    name: str
    why: str


class Signalled(Value):
    """A signal reached the supervisor."""

    signal: Signals


class OutputGone(Value):
    """The reader of the supervisor's stdout is gone (EPIPE)."""


class OutputStalled(Value):
    """The supervisor's output accepts no more data; what was written to it waits."""


class OutputResumed(Value):
    """The supervisor's output accepts data again."""


class PreloadFailed(Value):
    """Code for a later start cannot be loaded; `message` is a sentence that says why."""

    message: str
    # The generation that the code belongs to.
    generation: int = 0


class Loaded(Value):
    """The project was loaded again, and new addresses are bound: run these specs from now on."""

    generation: int
    specs: tuple[Spec, ...]


class LoadFailed(Value):
    """The project could not be loaded again, and nothing changed; `message` is a sentence."""

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
    """Set how many instances of a process should be up."""

    process: str
    count: int


class SignalRequest(Value):
    """Send a signal to the leader of an instance, or of each instance of a process."""

    name: str
    signal: Signals


class ShutdownRequest(Value):
    """Stop everything, as SIGTERM does."""


class ReloadRequest(Value):
    """Load the project and the settings again, and switch everything to them."""

    # The number of the `ChangeRequest` that it belongs to.
    number: Optional[int] = None


Request = Union[
    GoalRequest, RestartRequest, ScaleRequest, SignalRequest, ShutdownRequest, ReloadRequest
]


class Operator(Value):
    """The process that makes a request, and its user; `pid` is 0 if it is not visible here."""

    uid: int
    pid: int


class ChangeRequest(Value):
    """The requests that an operator makes together: all of them are granted, or none.

    `verb` is the command, such as "restart", and `names` are its arguments: `web`, `web=4`, or
    `web` and `SIGUSR1`. `number` is unique.
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
    ChangeRequest,
]
