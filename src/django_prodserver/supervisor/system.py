"""The one seam between decisions and the operating system."""

from __future__ import annotations

from collections.abc import Sequence
from signal import Signals
from typing import Optional, Protocol, Union

from .commands import ProbeKind
from .events import Event, Spawned, SpawnFailed
from .spec import Ref


class System(Protocol):
    """What the pump needs of the world; `posix.system` is the real one, tests bring their own.

    A life that is not known, or is gone, is addressed in vain: that is never an error.
    """

    def now(self) -> float:
        """Seconds on a clock that never jumps, and stands still while everything is frozen."""

    def spawn(self, ref: Ref) -> Union[Spawned, SpawnFailed]:
        """Start a life."""

    def kill(self, ref: Ref, signal: Signals, group: bool) -> None:
        """Send a signal to the leader of a life, or to its process group."""

    def start_probe(self, ref: Ref, kind: ProbeKind) -> None:
        """Begin to probe a life; `wait` brings the answer, if the life exists for that long."""

    def cancel_probe(self, ref: Ref) -> None:
        """End the running probe, if any; no answer of it follows."""

    def measure(self, ref: Ref) -> None:
        """Add up the memory of a life's process tree; `wait` brings the `Measured`."""

    def wait(self, timeout: Optional[float]) -> list[Event]:
        """Sleep until something happens, at most `timeout` seconds; None means for ever."""


class Processes(Protocol):
    """What is known of the processes behind a life, for those who tell people about it."""

    def pid(self, ref: Ref) -> Optional[int]:
        """The pid of its leader, also after that has exited; None where there is none."""

    def members(self, ref: Ref) -> Sequence[tuple[str, int]]:
        """The names and pids of the processes that its process group consists of now."""
