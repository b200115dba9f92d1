"""The memory in which the kernel keeps the arguments and the environment of a program.

/proc/PID/cmdline and /proc/PID/environ show it. It is memory of the process itself, to which the
process may write (proc(5)).
"""

from __future__ import annotations

import ctypes

from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.values import Value

# Indexes in /proc/PID/stat, after the name: proc_pid_stat(5) counts from 1, and the name is 2.
_ARGUMENTS, _ENVIRONMENT = 48 - 3, 50 - 3


class Area(Value):
    start: int
    size: int

    def read(self) -> bytes:
        return ctypes.string_at(self.start, self.size)

    def write(self, text: bytes, filler: bytes = b"\0") -> None:
        """Write as much of the text as there is room for, and fill the rest."""
        ctypes.memmove(self.start, text[: self.size].ljust(self.size, filler), self.size)


def arguments() -> Optional[Area]:
    """Where the arguments are in memory; None if the kernel does not say."""
    return _area(_ARGUMENTS)


def environment() -> Optional[Area]:
    """Where the environment is in memory, as it was at the last exec."""
    return _area(_ENVIRONMENT)


def _area(first: int) -> Optional[Area]:
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
            stat = file.read()
        start, end = map(int, stat[stat.rindex(")") + 1 :].split()[first : first + 2])
    except (OSError, ValueError):  # No /proc, or another system's.
        return None
    return Area(start, end - start) if 0 < start < end else None
