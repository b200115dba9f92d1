"""Process groups: whether one is empty, and which processes are in it."""

from __future__ import annotations

import os
from contextlib import suppress
from signal import SIGKILL

from . import kernel


def is_empty(group: int) -> bool:
    """Whether no process is left in it, not even a zombie (kill(2))."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # What is left in it runs as another user.
    return False


def kill(group: int) -> bool:
    """SIGKILL its processes; False if it is empty."""
    try:
        os.killpg(group, SIGKILL)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # What is left in it runs as another user.
    return True


def has(group: int, pid: int) -> bool:
    """Whether the process is in the group; False if that cannot be looked up."""
    try:
        return os.getpgid(pid) == group
    except OSError:
        return False


def members(group: int) -> list[tuple[str, int]]:
    """The names and pids of its processes, including zombies; empty if they cannot be looked up."""
    if not kernel.shows_our_processes():
        return []
    try:
        import psutil  # Only needed if SIGKILL had no effect; at the top it adds 10 ms to a start.

        found = [pid for pid in psutil.pids() if has(group, pid)]
    except (ImportError, OSError):
        return []
    named = []
    for pid in found:
        with suppress(psutil.Error, OSError):
            named.append((psutil.Process(pid).name(), pid))
    return named
