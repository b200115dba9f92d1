"""Facts: what the supervisor tells its observers. `report` puts them into sentences."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from signal import Signals

from .commands import Command
from .events import ChangeRequest, ExitStatus
from .hints import Callable, Optional, Union
from .spec import Exclusion, Ref
from .values import Value


class State(enum.Enum):
    """The state of an instance that users see, in supervisord's words."""

    STOPPED = "not started yet, or stopped on request"
    WAITING = "waits for the processes in its AFTER, for its lock, or for its next run"
    STANDBY = "runs under another supervisor; starts here once that supervisor releases its lock"
    STARTING = "started, but not ready; a oneshot stays here until it exits"
    RUNNING = "ready"
    STOPPING = "sent its stop signal"
    KILLING = "sent SIGKILL"
    EXITED = (
        "exited: the rest of its process group is being cleaned up, or it will not be restarted"
    )
    BACKOFF = "exited; restarts after a pause"
    FATAL = "failed, and is not restarted"


class LifeState(enum.Enum):
    """The state of one operating-system process, with its process group."""

    SPAWNING = "requested from the operating system"
    CANCELLING = "its start is cancelled; if it starts after all, it is asked to stop"
    DISCARDING = "its start is cancelled; if it starts after all, it is killed"
    STARTING = "started, but not ready; a oneshot stays here until it exits"
    RUNNING = "ready"
    STOPPING = "sent its stop signal"
    KILLING = "sent SIGKILL"
    SWEEPING = "its leader exited; others of its process group may still run"
    GONE = "its process group is empty"
    LOST = "it survived SIGKILL; the supervisor no longer waits for it"


class Phase(enum.Enum):
    """The state of the whole group."""

    STARTING = "not everything has become ready yet"
    RUNNING = "everything has been ready, or finished"
    ENDING = "everything is being stopped because something failed or everything finished"
    STOPPING = "everything is being stopped on request"
    KILLING = "everything is being killed: it was asked to stop twice"
    OVER = "nothing is left to wait for"


# ---- why a life has to stop, although its goal is up ----


class NoAnswer(Value):
    """A probe was not answered in time."""

    within: float


# Why a probe failed: a text from the edge, or no answer in time.
ProbeFailure = Union[str, NoAnswer]


class NotReady(Value):
    """It was not ready in time; `within` counts from its start, extensions included."""

    within: float
    # Why its last READY probe failed.
    failure: Optional[ProbeFailure] = None


class ChecksFailed(Value):
    """This many consecutive health checks failed, the last one for this reason."""

    failure: ProbeFailure
    retries: int


class WatchdogSilent(Value):
    """It did not send WATCHDOG=1 for this many seconds."""

    within: float


class WatchdogTriggered(Value):
    """It sent WATCHDOG=trigger."""


class TooMuchMemory(Value):
    """Its process tree uses more than its limit; both in bytes."""

    used: int
    limit: int


class WithoutLock(Value):
    """Its lock is lost, so it may run under another supervisor by now."""

    error: str


Fault = Union[NotReady, ChecksFailed, WatchdogSilent, WatchdogTriggered, TooMuchMemory, WithoutLock]


# ---- what follows ----


class StopEverything(Value):
    """It is not restarted, so everything stops."""


class Restart(Value):
    """It is restarted, after this many seconds."""

    pause: float


class StandBy(Value):
    """It is started again once it has its lock."""


class AwaitRun(Value):
    """It waits for its next scheduled run."""


Consequence = Union[StopEverything, Restart, StandBy, AwaitRun]


class SignalEffect(enum.Enum):
    """What a signal to the supervisor does."""

    STOP = "stopping everything"
    KILL = "killing everything"
    FORWARD = "passed on"
    RELOAD = "reloading"
    NOTHING = "ignored"


# ---- about one life ----


class Ready(Value):
    """It can do its work, this many seconds after its start."""

    ref: Ref
    after: float


class Started(Value):
    """It exists, and nothing will report when it is ready: it counts as ready."""

    ref: Ref


class Stopping(Value):
    """It was sent its stop signal, because of a fault or on request."""

    ref: Ref
    fault: Optional[Fault] = None


class Escalated(Value):
    """The stop signal was not enough: it is sent the escalation signal before SIGKILL."""

    ref: Ref
    signal: Signals


class Killing(Value):
    """Its process group was sent SIGKILL; `overran` is the stop timeout, if it exceeded that."""

    ref: Ref
    overran: Optional[float] = None


class Ended(Value):
    """Its leader exited."""

    ref: Ref
    # Its state when it exited.
    old: LifeState
    status: ExitStatus
    # Seconds since its start, and since it entered that state.
    after: float = 0.0
    lasted: float = 0.0
    # Requested, or a oneshot that succeeded.
    expected: bool = False
    oneshot: bool = False
    out_of_memory: bool = False
    # Its memory when last measured, in bytes.
    memory: Optional[int] = None
    # What its software means by the status.
    meaning: str = ""
    # This signal was sent at the request of an operator.
    sent: bool = False
    # What it reported about its end: the text of an ERRNO, or STOPPING=1.
    reported: str = ""
    # How often the instance was restarted before.
    restarts: int = 0
    consequence: Optional[Consequence] = None

    @property
    def finished(self) -> bool:
        """It was a oneshot that succeeded."""
        return self.oneshot and self.expected and self.old is LifeState.STARTING


class Retired(Value):
    """A life that was replaced is gone, with its process group."""

    ref: Ref


class Lost(Value):
    """It survived SIGKILL: nothing waits for it any longer, but its processes may still run."""

    ref: Ref
    after: float
    consequence: Optional[Consequence] = None


class CheckFailed(Value):
    """A health check failed, but not yet often enough to make the instance unhealthy."""

    ref: Ref
    failure: ProbeFailure
    failures: int
    retries: int


class NotChecked(Value):
    """The operating system refused to begin a probe; reported once until one is answered."""

    ref: Ref
    error: str


class ReportsLost(Value):
    """Other processes flood its notify socket, so its silence means nothing; reported once."""

    ref: Ref


class StatusReported(Value):
    """A life described its own status."""

    ref: Ref
    status: str


# ---- about one instance ----


class StateChanged(Value):
    """What users see of an instance changed."""

    name: str
    old: State
    new: State


class StartRefused(Value):
    """The operating system refused to start it."""

    name: str
    error: str
    consequence: Optional[Consequence] = None


class StartLimitReached(Value):
    """It was started too often in the interval."""

    name: str
    starts: int
    interval: float
    consequence: Optional[Consequence] = None


class RunsLeftOut(Value):
    """This many scheduled runs were skipped."""

    name: str
    count: int


class Scaled(Value):
    """An autoscaler has changed how many instances of a process are to be up."""

    process: str
    metric: str
    value: float
    target: float
    old: int
    new: int


class LoadUnknown(Value):
    """The load of a process is no longer known, so its number of instances does not change."""

    process: str
    metric: str
    why: str


class AwaitsLock(Value):
    """It is due to start, but its lock is not available yet."""

    name: str
    exclusion: Exclusion
    why: str


class HasLock(Value):
    """It waited for its lock, has it now, and starts."""

    name: str


class LockGone(Value):
    """A oneshot goes on although another supervisor may have its lock by now."""

    name: str
    why: str


class DoneElsewhere(Value):
    """A oneshot need not run: another supervisor had its lock, and has done the work."""

    name: str


class Updated(Value):
    """A rolling update of it ended: a new life is ready, or the old one stays."""

    name: str
    replaced: bool


class Renewed(Value):
    """A step of a reload ended: it runs the new generation and is ready, or went back."""

    name: str
    renewed: bool


# ---- about the group ----


class AllReady(Value):
    """Every instance is ready or finished, for the first time."""

    count: int
    after: float


class AllFinished(Value):
    """Every instance was a oneshot, and succeeded."""

    count: int
    after: float


class StillRunning(Value):
    """A stop is slow: the instances that still run, and the seconds until all are sent SIGKILL."""

    names: tuple[str, ...]
    left: float
    # By name, the last STATUS= of each since it was asked to stop.
    reported: Mapping[str, str] = {}


class WaitingToFinish(Value):
    """Everything stops because something failed; these oneshots get `left` seconds to finish."""

    names: tuple[str, ...]
    left: float


class SignalReceived(Value):
    """A signal reached the supervisor."""

    signal: Signals
    effect: SignalEffect


class NotPreloaded(Value):
    """The code of a process that has not started yet cannot be loaded, so everything stops."""

    # A sentence that says why.
    error: str


class ReloadBegun(Value):
    """The project is being loaded again."""

    generation: int


class Reloaded(Value):
    """Everything runs this generation, `after` seconds after its reload began.

    `numbers` are the numbers of the `ChangeRequest` requests that it answers.
    """

    generation: int
    after: float
    numbers: tuple[int, ...] = ()


class RenewalFailed(Value):
    """An instance failed to switch to a new generation; `cause` is what prevented it."""

    name: str
    cause: Optional[Union[Ended, StartRefused, Fault]] = None


class ReloadFailed(Value):
    """Everything runs what it ran before. A `why` that is text has no full stop."""

    generation: int
    why: Union[str, RenewalFailed]
    # Some services ran the new generation for a while.
    rolled_back: bool = False
    numbers: tuple[int, ...] = ()


class StoppingAll(Value):
    """From now on everything is being stopped."""


class Alive(Value):
    """The supervisor is alive: for the service manager that watches it."""


class AllStopped(Value):
    """Nothing is left to wait for: the supervisor ends with this exit status."""

    status: int
    # Seconds since the first reason to stop.
    after: float


class Refusal(enum.Enum):
    """Why a request cannot be granted."""

    NO_SUCH_NAME = "no instance has that name"
    STOPPING = "everything is being stopped"
    NO_RELOAD = "nothing here can load the project again"


class RequestRefused(Value):
    """A request of an operator was not granted, and changed nothing.

    `number` is the number of the `ChangeRequest` that it belongs to.
    """

    name: str
    why: Refusal
    number: Optional[int] = None


class Granted(Value):
    """The requests of an operator are granted, and are being carried out."""

    request: ChangeRequest


LifeFact = Union[
    Ready,
    Started,
    Stopping,
    Escalated,
    Killing,
    Ended,
    Retired,
    Lost,
    CheckFailed,
    NotChecked,
    ReportsLost,
    StatusReported,
]
InstanceFact = Union[
    StateChanged,
    StartRefused,
    StartLimitReached,
    RunsLeftOut,
    AwaitsLock,
    HasLock,
    LockGone,
    DoneElsewhere,
    Updated,
    Renewed,
]
GroupFact = Union[
    AllReady,
    AllFinished,
    StillRunning,
    WaitingToFinish,
    SignalReceived,
    NotPreloaded,
    ReloadBegun,
    Reloaded,
    ReloadFailed,
    Scaled,
    LoadUnknown,
    StoppingAll,
    Alive,
    AllStopped,
    RequestRefused,
    Granted,
]
Fact = Union[LifeFact, InstanceFact, GroupFact]
Output = Union[Command, Fact]
Observer = Callable[[Fact], None]
