"""Processes that software starts with multiprocessing must not outlive it."""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing import util

from django_prodserver.posix import kernel


def die_with_parent() -> None:
    """Make this process die with its parent on Linux, if multiprocessing has started it."""
    process = multiprocessing.parent_process()
    if process is not None and process.pid is not None:
        kernel.die_with_parent(process.pid)


def die_with(parent: int, generations: int = 1) -> None:
    """Make processes that multiprocessing forks from this one, whose pid is `parent`, die with it.

    On Linux only. With two generations, the processes that those fork die with them, and so on.
    Deeper ones are left alone: to the kernel, the parent dies when the thread that forked ends.
    """

    def after_fork(module: object) -> None:
        process = multiprocessing.parent_process()
        if process is None or process.pid != parent:
            return
        kernel.die_with_parent(parent)
        if generations > 1:
            die_with(os.getpid(), generations - 1)

    # The hook stays registered for as long as its first argument exists.
    util.register_after_fork(sys.modules[__name__], after_fork)
