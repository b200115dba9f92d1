"""The one seam between decisions and the operating system."""

from __future__ import annotations

from signal import Signals
from typing import Optional, Protocol

from .model import Happening


class System(Protocol):
    """What the pump needs of the world; `posix.system` is the real one, tests bring their own."""

    def now(self) -> float:
        """Seconds on a clock that never jumps."""

    def spawn(self, name: str) -> int:
        """Start the instance and return the pid of its leader; OSError says why not."""

    def kill(self, pid: int, signal: Signals, group: bool) -> None:
        """Send a signal to a leader or to its process group; whoever is gone is no error."""

    def say(self, text: str) -> None:
        """Put a line of the supervisor's own into the log; never blocks."""

    def wait(self, timeout: Optional[float]) -> list[Happening]:
        """Sleep until something happens, at most `timeout` seconds; None means for ever."""
