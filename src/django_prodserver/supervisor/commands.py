"""Commands: what the supervisor tells the operating system to do."""

from __future__ import annotations

import enum
from signal import Signals

from .spec import Ref
from .values import Value


class Command(Value):
    """Base class of all commands."""


class Spawn(Command):
    """Start a life. The answer is `Spawned` or `SpawnFailed`, and may come late."""

    ref: Ref


class CancelSpawn(Command):
    """Cancel a start that is not answered yet. The answer comes soon; it may still be `Spawned`."""

    ref: Ref


class Kill(Command):
    """Send a signal to the leader of a life, or to its whole process group."""

    ref: Ref
    signal: Signals
    group: bool = False


class ProbeKind(enum.Enum):
    """The question that a probe answers."""

    READY = "whether it is ready"
    HEALTH = "whether its HEALTHCHECK succeeds"


class StartProbe(Command):
    """Begin a probe; one that is running is cancelled. The answer is `Probed` or `ProbeRefused`."""

    ref: Ref
    kind: ProbeKind


class CancelProbe(Command):
    """End the running probe: it took too long, or its answer no longer matters."""

    ref: Ref


class Measure(Command):
    """Add up the memory of a life's process tree. The answer is `Measured`."""

    ref: Ref


class Unlisten(Command):
    """Close the held sockets of a process: for now, none of its instances is wanted.

    Later signals to its lives may be delayed until they have accepted the connections already made.
    """

    process: str


class PlanRun(Command):
    """Find out when an instance runs next; the answer is `RunPlanned`.

    A run that is already planned is kept, unless it has `ended`.
    """

    name: str
    ended: bool


class MeasureLoad(Command):
    """Measure the load of a process; `metric` is a value of METRIC.

    The answer is `LoadMeasured`, and may come late.
    """

    process: str
    metric: str


class TakeLock(Command):
    """Take the lock of an instance, however long that takes.

    The answer is `LockTaken`, or `LockUsed` if the lock is no longer needed. Until then, `LockBusy`
    says why it takes time. If the lock is lost later, `LockLost` follows, and it is taken again.
    """

    name: str


class ReleaseLock(Command):
    """Release the lock of an instance, or stop waiting for it.

    If `done`, the supervisors that are waiting for it are told that it was used.
    """

    name: str
    done: bool


class LoadGeneration(Command):
    """Load the project again, while everything runs on. The answer is `Loaded` or `LoadFailed`."""

    generation: int


class AdoptGeneration(Command):
    """Everything runs this generation: earlier ones are no longer needed."""

    generation: int


class DropGeneration(Command):
    """Drop a generation, with its template and the sockets that only it needs."""

    generation: int
