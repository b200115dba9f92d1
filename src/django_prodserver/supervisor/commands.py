"""Commands: what the supervisor tells the operating system to do."""

from __future__ import annotations

import enum
from signal import Signals

from .spec import Ref
from .values import Value


class Command(Value):
    """Any of them."""


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
    """Close the held sockets of a process: for now, none of its instances is to be up.

    What is sent to its lives after this command may wait until they have accepted the connections
    that had been made.
    """

    process: str


class PlanRun(Command):
    """Find out when an instance runs next; the answer is `RunPlanned`.

    What was planned is kept, unless that run has `ended`.
    """

    name: str
    ended: bool


class MeasureLoad(Command):
    """Find out the load of a process, in the words of METRIC.

    The answer is `LoadMeasured`, and may come late.
    """

    process: str
    metric: str


class TakeLock(Command):
    """Take the lock of an instance, however long that takes.

    The answer is `LockTaken`, or that it is not needed, `LockUsed`. Until then `LockBusy` says why
    it takes time. If it is lost after that, `LockLost`, it is taken again.
    """

    name: str


class ReleaseLock(Command):
    """Let others have the lock of an instance, or wait for it no more.

    If it is `done`, those that have waited for it until now are told that it was used.
    """

    name: str
    done: bool


class LoadGeneration(Command):
    """Load the project once more, beside what runs. The answer is `Loaded` or `LoadFailed`."""

    generation: int


class AdoptGeneration(Command):
    """Everything runs what this load has brought: earlier ones are needed no more."""

    generation: int


class DropGeneration(Command):
    """This load is needed no more, nor what is open for it alone."""

    generation: int
