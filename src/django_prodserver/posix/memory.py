"""How much memory a process tree has, and which processes the kernel killed when out of memory."""

from __future__ import annotations

import os
from contextlib import suppress
from signal import Signals

from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.hints import TYPE_CHECKING, Optional, Union

from . import kernel

if TYPE_CHECKING:
    import psutil


# Seconds for which a kill that the kernel has counted may explain a process that is reaped later.
COUNTS_FOR = 1.0


class OomKills:
    """Tells which processes the kernel killed when out of memory, from its counter of such kills.

    The counter does not say which ones, so another foreign SIGKILL in the same second is
    mistaken for such a kill.
    """

    def __init__(self, root: Union[str, os.PathLike[str]] = "/") -> None:
        # Looked up only once: `explains` must not delay the reaction to an exit.
        self._counter = kernel.out_of_memory_counter(root)
        self._counted = kernel.out_of_memory_kills(self._counter)
        # Kills that are not assigned to a process yet, and until when they can be.
        self._unassigned = 0
        self._until = 0.0

    def explains(self, status: ExitStatus, now: float) -> bool:
        """Whether this exit was such a kill. Call it for every process that exits."""
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
    """Import what measuring needs, before anything is started."""
    import psutil

    psutil.Process()  # Reads the boot time of the system, once.


def of_tree(pid: int) -> Optional[int]:
    """The memory of a process and all its descendants, in bytes; None if unknown.

    The PSS, which splits shared memory among the processes that share it (proc_pid_smaps(5)), or
    the RSS where the PSS is missing or denied. Processes that exit meanwhile are ignored.
    """
    if not kernel.shows_our_processes():
        return None  # In a foreign /proc that pid is another process.
    try:
        import psutil  # Usually imported by `prepare` already.
    except (ImportError, OSError):
        return None  # No file descriptor is left to import it with.
    try:
        leader = psutil.Process(pid)
        processes = [leader, *leader.children(recursive=True)]
    except (psutil.Error, OSError):  # OSError: no file descriptor is left.
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
