"""What Linux offers a supervisor beyond POSIX, absent elsewhere without complaint."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans(adopt: bool = True) -> bool:
    """Become the parent of descendants that lose theirs, instead of PID 1; False if impossible."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


def die_with_parent(parent: int) -> None:
    """Have the kernel SIGKILL this process when `parent`, a pid, ends; at once if it has already.

    Survives execve(2), is not inherited by fork(2).
    """
    if _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def age() -> float:
    """Seconds since this process was started by fork(2), whatever it has executed since."""
    if sys.platform != "linux":
        import psutil

        return time.time() - psutil.Process().create_time()
    # psutil adds the time of the boot, which the kernel tells in whole seconds. Field 22, in
    # ticks, counts from the boot too (proc(5)); the name in field 2 may hold spaces.
    with open("/proc/self/stat") as stat:
        ticks = int(stat.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    zero = ctypes.c_ulong(0)
    return bool(_libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero) == 0)


if sys.platform == "linux":
    _libc = ctypes.CDLL(None)
