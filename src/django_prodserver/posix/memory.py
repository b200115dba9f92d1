"""How much memory an instance has."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    import psutil


def of_tree(pid: int) -> Optional[int]:
    """The memory of a process and all its descendants, in bytes; None if it is gone.

    Where the kernel gives it, the PSS: what processes share counts once, in parts
    (proc_pid_smaps(5)). Elsewhere, and where it is denied, the RSS. Who vanishes meanwhile counts
    nothing.
    """
    import psutil  # Only where memory is limited: 10 ms of every start if imported before.

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
