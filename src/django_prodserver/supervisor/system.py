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

    Addressing a life that is unknown or gone has no effect, and is never an error.
    """

    def now(self) -> float:
        """Seconds on a clock that never jumps, and that stops while the supervisor is frozen."""

    def spawn(self, ref: Ref) -> None:
        """Start a life; `wait` brings one answer, `Spawned` or `SpawnFailed`, however late.

        The answer comes before anything else that `wait` returns about this life.
        """

    def cancel_spawn(self, ref: Ref) -> None:
        """Cancel a start. The answer still comes, and soon, whatever the start is waiting for.

        It is `SpawnFailed`, or `Spawned` if the start could no longer be cancelled. Once the answer
        is on its way, this has no effect.
        """

    def kill(self, ref: Ref, signal: Signals, group: bool) -> None:
        """Send a signal to the leader of a life, or to its process group."""

    def start_probe(self, ref: Ref, kind: ProbeKind) -> None:
        """Begin to probe a life; `wait` brings the answer, if the life still exists by then."""

    def cancel_probe(self, ref: Ref) -> None:
        """End the running probe, if any; it will not be answered."""

    def measure(self, ref: Ref) -> None:
        """Add up the memory of a life's process tree; `wait` brings `Measured`."""

    def unlisten(self, process: str) -> None:
        """Close the held sockets of a process; its next life opens them again.

        Later signals to its lives, except SIGKILL, may arrive a moment later, so that the lives can
        accept the connections already made.
        """

    def plan_run(self, name: str, ended: bool) -> None:
        """Find out when an instance runs next; `wait` brings `RunPlanned`."""

    def measure_load(self, process: str, metric: str) -> None:
        """Measure the load of a process; `wait` brings `LoadMeasured`, known or not."""

    def take_lock(self, name: str) -> None:
        """Take the lock of an instance; `wait` brings the answers, see `TakeLock`."""

    def release_lock(self, name: str, done: bool) -> None:
        """Release the lock or stop taking it; no event about it follows until it is taken again."""

    def load(self, generation: int) -> None:
        """Load the project again; `wait` brings `Loaded` or `LoadFailed`, however late.

        Lives of that generation can be spawned after `Loaded`. If code that is loaded later cannot
        be loaded, `wait` brings `PreloadFailed` for that generation.
        """

    def adopt(self, generation: int) -> None:
        """Forget the earlier generations, which have no lives left."""

    def drop(self, generation: int) -> None:
        """Forget this generation, loaded or not, which has no lives left."""

    def wait(self, timeout: Optional[float]) -> list[Event]:
        """Sleep until something happens, at most `timeout` seconds; None means no limit."""


class Processes(Protocol):
    """What is known of the processes behind a life, for messages to people."""

    def pid(self, ref: Ref) -> Optional[int]:
        """The pid of its leader, even after that has exited; None if there is none."""

    def members(self, ref: Ref) -> Sequence[tuple[str, int]]:
        """The names and pids of the processes in its process group now."""
