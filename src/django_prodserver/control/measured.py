"""What has to be measured to be told as metrics."""

from __future__ import annotations

from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.values import Value


class Usage(Value):
    """What a process uses now, or a tree of them; None where the system does not tell.

    Of memory that processes share, each has its part in `proportional`, and nothing in `unique`.
    """

    # Of the processor, since it began.
    cpu_seconds: float
    resident: int
    proportional: Optional[int]
    unique: Optional[int]
    descriptors: Optional[int]
    threads: int
    processes: int = 1


class Checked(Value):
    """The health checks of an instance that succeeded."""

    count: int = 0
    # How long the last one took, or one that failed after it; not one that was given up.
    seconds: Optional[float] = None
