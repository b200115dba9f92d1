"""Measurements that metrics report."""

from __future__ import annotations

from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.values import Value


class Usage(Value):
    """What a process or a tree of processes uses now; None if the system does not report it.

    Memory that processes share is divided among them in `proportional`, and left out of `unique`.
    """

    # Processor time since it began.
    cpu_seconds: float
    resident: int
    proportional: Optional[int]
    unique: Optional[int]
    descriptors: Optional[int]
    threads: int
    processes: int = 1


class Checked(Value):
    """The successful health checks of an instance."""

    count: int = 0
    # How long the last check took, whether it succeeded or failed; cancelled checks do not count.
    seconds: Optional[float] = None
