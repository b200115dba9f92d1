"""Where the kernel keeps what a program was executed with, and shows it in /proc.

The arguments are /proc/PID/cmdline, the environment is /proc/PID/environ; both are memory of the
process itself, which it may write to (proc(5)).
"""

from __future__ import annotations

import ctypes

from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.values import Value

# In /proc/PID/stat, behind the name: proc_pid_stat(5) counts from 1, and the name is 2.
_ARGUMENTS, _ENVIRONMENT = 48 - 3, 50 - 3


class Area(Value):
    start: int
    size: int

    def read(self) -> bytes:
        return ctypes.string_at(self.start, self.size)

    def write(self, text: bytes, filler: bytes = b"\0") -> None:
        """Write it, as far as there is room, and fill the rest."""
        ctypes.memmove(self.start, text[: self.size].ljust(self.size, filler), self.size)


def arguments() -> Optional[Area]:
    """Where the arguments are in memory; None where the kernel does not tell."""
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
