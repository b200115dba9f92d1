"""What a process is called in `ps`, `top` and /proc: by its instance, not by how it was started.

The title is written over the arguments that the process was started with, in the memory that the
kernel shows as /proc/PID/cmdline (proc(5)); what was there, secrets among it, is gone. setproctitle
does the same, and takes the environment behind it as well unless told otherwise. What is started
by us is found by its environment, so that stays.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple, Optional

from . import kernel

setproctitle: Any
try:
    import setproctitle
except ImportError:  # An extra. Where it is, gunicorn, Celery and others give titles, too.
    setproctitle = None

_PREFIX = "prodserver: "
# In /proc/PID/stat, behind the name: proc_pid_stat(5) counts from 1, and the name is 2.
_ARG_START, _ARG_END = 48 - 3, 49 - 3


def prepare() -> None:
    """Have setproctitle, which anything may call later, leave environment and title as they are.

    At its first call it looks for the arguments that the process was started with, asks whether it
    may have the environment, and already changes the title (1.3.8). gunicorn calls it when it is
    imported, in a process that is not gunicorn's.
    """
    os.environ.setdefault("SPT_NOENV", "1")
    if setproctitle is None:
        return
    area = _area()
    before = area and ctypes.string_at(area.start, area.size)
    name = kernel.name()
    setproctitle.getproctitle()
    if area and before:
        ctypes.memmove(area.start, before, area.size)
    kernel.set_name(name)


def set_title(instance: str) -> None:
    """Show this process as `prodserver: web.1`, and as `web.1` where only a name is shown."""
    prepare()
    if sys.platform != "linux":
        if setproctitle is not None:
            setproctitle.setproctitle(_PREFIX + instance)
        return
    area = _area()
    # It has to end with a zero: without one the kernel reads on, into the environment.
    if area is not None and area.size > len(_PREFIX):
        title = _PREFIX + shortened(instance, area.size - 1 - len(_PREFIX))
        ctypes.memmove(
            area.start, title.encode()[: area.size - 1].ljust(area.size, b"\0"), area.size
        )
    kernel.set_name(shortened(instance, kernel.NAME_LENGTH))


def shortened(instance: str, room: int) -> str:
    """The name of an instance in so many characters, with its number whole."""
    process, dot, number = instance.rpartition(".")
    return process[: max(0, room - len(dot + number))] + dot + number


class _Area(NamedTuple):
    start: int
    size: int


def _area() -> Optional[_Area]:
    """Where the arguments are in memory; None where the kernel does not tell."""
    try:
        stat = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace")
        fields = stat[stat.rindex(")") + 1 :].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
    except (OSError, ValueError, IndexError):  # No /proc, or another system's.
        return None
    return _Area(start, end - start) if 0 < start < end else None
