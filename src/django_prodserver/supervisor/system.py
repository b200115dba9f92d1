"""The one seam between decisions and the operating system."""

from __future__ import annotations

from collections.abc import Sequence
from signal import Signals

from .commands import ProbeKind
from .events import Event
from .hints import Optional, Protocol
from .spec import Ref


class System(Protocol):
    """What the pump needs from the world. `posix.system` is the real one; tests have their own.

    To address a life that is unknown or gone has no effect, and is never an error.
    """

    def now(self) -> float:
        """Seconds on a clock that never jumps, and stands still while everything is frozen."""

    def spawn(self, ref: Ref) -> None:
        """Start a life; `wait` brings one answer, `Spawned` or `SpawnFailed`, however late.

        The answer comes before anything else that `wait` returns about this life.
        """

    def cancel_spawn(self, ref: Ref) -> None:
        """Cancel a start. The answer still comes, and soon, whatever the start is waiting for.

        It is `SpawnFailed`, or `Spawned` if it was too late. Once the answer is on its way, this
        has no effect.
        """

    def kill(self, ref: Ref, signal: Signals, group: bool) -> None:
        """Send a signal to the leader of a life, or to its process group."""

    def start_probe(self, ref: Ref, kind: ProbeKind) -> None:
        """Begin to probe a life; `wait` brings the answer, if the life still exists by then."""

    def cancel_probe(self, ref: Ref) -> None:
        """End the running probe, if any; no answer of it follows."""

    def measure(self, ref: Ref) -> None:
        """Add up the memory of a life's process tree; `wait` brings the `Measured`."""

    def unlisten(self, process: str) -> None:
        """Close the held sockets of a process; its next life opens them again.

        A signal that is sent to its lives from here on, except for SIGKILL, may arrive a moment
        later: those are to accept the connections that had been made.
        """

    def plan_run(self, name: str, ended: bool) -> None:
        """Find out when an instance runs next; `wait` brings the `RunPlanned`."""

    def measure_load(self, process: str, metric: str) -> None:
        """Find out the load of a process; `wait` brings the `LoadMeasured`, known or not."""

    def take_lock(self, name: str) -> None:
        """Take the lock of an instance; `wait` brings what becomes of that, see `TakeLock`."""

    def release_lock(self, name: str, done: bool) -> None:
        """Release it, or take it no more; nothing else of it follows, until it is taken again."""

    def load(self, generation: int) -> None:
        """Load the project once more; `wait` brings `Loaded` or `LoadFailed`, however late.

        Lives of that generation can be spawned once it has brought `Loaded`. If a part that is
        loaded later cannot be, it brings a `PreloadFailed` of that generation.
        """

    def adopt(self, generation: int) -> None:
        """Forget earlier generations, of which no life is left."""

    def drop(self, generation: int) -> None:
        """Forget this generation, loaded or not, of which no life is left."""

    def wait(self, timeout: Optional[float]) -> list[Event]:
        """Sleep until something happens, at most `timeout` seconds; None means no limit."""


class Processes(Protocol):
    """What is known of the processes behind a life, for messages to people."""

    def pid(self, ref: Ref) -> Optional[int]:
        """The pid of its leader, even after that has exited; None if there is none."""

    def members(self, ref: Ref) -> Sequence[tuple[str, int]]:
        """The names and pids of the processes in its process group now."""
