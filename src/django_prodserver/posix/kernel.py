"""What Linux offers a supervisor beyond POSIX, absent elsewhere without complaint."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

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


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    zero = ctypes.c_ulong(0)
    return bool(_libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero) == 0)


if sys.platform == "linux":
    _libc = ctypes.CDLL(None)
