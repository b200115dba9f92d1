"""The one seam between decisions and the operating system."""

from __future__ import annotations

from signal import Signals
from typing import Optional, Protocol

from .model import Happening, Probe


class System(Protocol):
    """What the pump needs of the world; `posix.system` is the real one, tests bring their own."""

    def now(self) -> float:
        """Seconds on a clock that never jumps."""

    def spawn(self, name: str) -> int:
        """Start the instance and return the pid of its leader; OSError says why not."""

    def kill(self, pid: int, signal: Signals, group: bool) -> None:
        """Send a signal to a leader or to its process group; whoever is gone is no error."""

    def start_probe(self, pid: int, probe: Probe) -> None:
        """Begin to probe an instance; `wait` brings the `Probed`, if the instance lives so long."""

    def cancel_probe(self, pid: int) -> None:
        """End the probe that is under way, if any; nothing more is heard of it."""

    def measure(self, pid: int) -> None:
        """Add up the memory of an instance's process tree; `wait` brings the `Measured`."""

    def say(self, text: str) -> None:
        """Put a line of the supervisor's own into the log; never blocks."""

    def tell(self, message: str) -> None:
        """Send a notification to whoever supervises the supervisor, if anybody; never blocks.

        The message is one of sd_notify(3): lines of `VARIABLE=value`.
        """

    def wait(self, timeout: Optional[float]) -> list[Happening]:
        """Sleep until something happens, at most `timeout` seconds; None means for ever."""
