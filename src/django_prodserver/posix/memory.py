"""How much memory a process tree has, and what the kernel killed because there was none left."""

from __future__ import annotations

import os
from contextlib import suppress
from signal import Signals

from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.hints import TYPE_CHECKING, Optional, Union

from . import kernel

if TYPE_CHECKING:
    import psutil


# For so long, in seconds, a kill that the kernel has counted may be that of a process reaped later.
COUNTS_FOR = 1.0


class OomKills:
    """Tells which processes the kernel killed when out of memory, from its counter of such kills.

    The counter does not say which ones, so another foreign SIGKILL in the same second is
    mistaken for it.
    """

    def __init__(self, root: Union[str, os.PathLike[str]] = "/") -> None:
        # Looked up only once: the caller has to react to an exit.
        self._counter = kernel.out_of_memory_counter(root)
        self._counted = kernel.out_of_memory_kills(self._counter)
        # Kills that belong to no process yet, and until when they may.
        self._unassigned = 0
        self._until = 0.0

    def explains(self, status: ExitStatus, now: float) -> bool:
        """Whether this exit is one of them; to be asked about every process at its exit."""
        before, self._counted = self._counted, kernel.out_of_memory_kills(self._counter)
        if now > self._until:
            self._unassigned = 0
        if self._counted > before:
            self._unassigned += self._counted - before
            self._until = now + COUNTS_FOR
        if status.signal != Signals.SIGKILL or not self._unassigned:
            return False
        self._unassigned -= 1
        return True


def prepare() -> None:
    """Import what measuring takes: before anything is started, where memory is limited."""
    import psutil

    psutil.Process()  # It reads when the system was booted, once.


def of_tree(pid: int) -> Optional[int]:
    """The memory of a process and all its descendants, in bytes; None if that cannot be told.

    Where the kernel gives it, the PSS: what processes share counts once, in parts
    (proc_pid_smaps(5)). Elsewhere, and where it is denied, the RSS. Processes
    that exit meanwhile are ignored.
    """
    if not kernel.shows_our_processes():
        return None  # In a foreign /proc that pid is another process.
    try:
        import psutil  # By `prepare`, mostly.
    except (ImportError, OSError):
        return None  # No file descriptor is left to read it with.
    try:
        leader = psutil.Process(pid)
        processes = [leader, *leader.children(recursive=True)]
    except (psutil.Error, OSError):  # OSError: no file descriptor is left to look with.
        return None
    total = 0
    for process in processes:
        with suppress(psutil.Error, OSError):
            total += _of(process)
    return total or None


def _of(process: psutil.Process) -> int:
    import psutil

    if psutil.LINUX:
        with suppress(psutil.AccessDenied):
            pss: int = process.memory_full_info().pss
            return pss
    return process.memory_info().rss
