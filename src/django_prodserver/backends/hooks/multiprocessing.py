"""Processes that software starts by means of multiprocessing must not outlive it."""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing import util

from django_prodserver.posix import kernel


def die_with_parent() -> None:
    """Let this process die with the one that has started it, if multiprocessing has, on Linux."""
    process = multiprocessing.parent_process()
    if process is not None and process.pid is not None:
        kernel.die_with_parent(process.pid)


def die_with(parent: int, generations: int = 1) -> None:
    """Let processes that this one, with the pid `parent`, will fork die with it, on Linux.

    With two generations those that they fork die with them, and so on. Others further down do as
    they like: the kernel takes the end of the thread that forked for the end of the parent.
    """

    def after_fork(module: object) -> None:
        process = multiprocessing.parent_process()
        if process is None or process.pid != parent:
            return
        kernel.die_with_parent(parent)
        if generations > 1:
            die_with(os.getpid(), generations - 1)

    # It is forgotten when its first argument is.
    util.register_after_fork(sys.modules[__name__], after_fork)
