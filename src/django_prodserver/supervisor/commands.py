"""Commands: what the supervisor tells the operating system to do."""

from __future__ import annotations

import enum
from signal import Signals
from typing import Union

from .spec import Ref
from .values import Value


class Spawn(Value):
    """Start a life. The answer is `Spawned` or `SpawnFailed`."""

    ref: Ref


class Kill(Value):
    """Send a signal to the leader of a life, or to its whole process group."""

    ref: Ref
    signal: Signals
    group: bool = False


class ProbeKind(enum.Enum):
    """What a probe is to find out."""

    READY = "whether it is ready"
    HEALTH = "whether its HEALTHCHECK succeeds"


class StartProbe(Value):
    """Begin a probe; one that is running is cancelled. The answer is `Probed` or `ProbeRefused`."""

    ref: Ref
    kind: ProbeKind


class CancelProbe(Value):
    """End the running probe: it took too long, or its answer no longer matters."""

    ref: Ref


class Measure(Value):
    """Add up the memory of a life's process tree. The answer is `Measured`."""

    ref: Ref


Command = Union[Spawn, Kill, StartProbe, CancelProbe, Measure]
