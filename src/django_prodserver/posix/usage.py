"""What the process trees of all instances use: memory, processor time, descriptors, threads.

On Linux it is read from /proc here, and not by psutil: psutil reads the whole process table for
each tree, and takes several times as long for each process.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

from django_prodserver.control.measured import Usage
from django_prodserver.supervisor.hints import Callable, Optional

from . import kernel, process_table
from .loop import Loop

# Seconds for which a measurement is reused: a scrape right after another takes no time.
FRESH = 1.0

# Indices into the fields of `process_table.stat`: threads, and the last one that is needed.
_THREADS, _LAST = 20 - 3, 24 - 3

Trees = Callable[[], Mapping[str, list[int]]]
Done = Callable[[Mapping[str, Usage]], None]


class Meter:
    """Measures all process trees, in steps taken by the loop.

    `trees` returns the pids of the leaders by instance. The processor time of each life that has
    ended must be passed to `ended`.
    """

    def __init__(self, trees: Trees, loop: Loop) -> None:
        self._trees = trees
        self._loop = loop
        # Processor seconds by instance: of lives that have ended, and the total reported last.
        self._ended: dict[str, float] = {}
        self._reported: dict[str, float] = {}
        self._measured: dict[str, Usage] = {}
        self._measured_at = float("-inf")
        self._waiting: list[Done] = []

    def ended(self, name: str, cpu_seconds: float) -> None:
        """Add the processor time of a life that has ended."""
        self._ended[name] = self._ended.get(name, 0.0) + cpu_seconds

    def measure(self, done: Done) -> None:
        """Call `done` with the measurement, now or in a later turn of the loop."""
        if time.monotonic() - self._measured_at < FRESH:
            done(self._measured)
            return
        self._waiting.append(done)
        if len(self._waiting) == 1:
            self._loop.work(self._measure())

    def _measure(self) -> Iterator[None]:
        """Measure one process in each step."""
        measured: dict[str, Usage] = {}
        # In a foreign /proc these pids are other processes.
        trees = self._trees() if kernel.shows_our_processes() else {}
        for name, leaders in trees.items():
            found = []
            for leader in leaders:
                for pid in tree(leader):
                    one = of_process(pid)
                    if one is not None:
                        found.append(one)
                    yield
            if found:
                measured[name] = self._total(name, found)
        for name in self._ended.keys() - measured.keys():
            measured[name] = self._total(name, [])
        self._measured = measured
        self._measured_at = time.monotonic()
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done(measured)

    def _total(self, name: str, found: list[Usage]) -> Usage:
        used = self._ended.get(name, 0.0) + sum(one.cpu_seconds for one in found)
        # The counter must not fall: the time of a descendant is lost if its parent did not reap it.
        self._reported[name] = used = max(used, self._reported.get(name, 0.0))
        return Usage(
            cpu_seconds=used,
            resident=sum(one.resident for one in found),
            proportional=_sum(one.proportional for one in found),
            unique=_sum(one.unique for one in found),
            descriptors=_sum(one.descriptors for one in found),
            threads=sum(one.threads for one in found),
            processes=len(found),
        )


def _sum(values: Iterator[Optional[int]]) -> Optional[int]:
    """The sum; None if a value is unknown: a partial sum says nothing."""
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def tree(leader: int) -> Iterator[int]:
    """The pids of a process and of all that descend from it."""
    on_linux = sys.platform == "linux"
    yield from process_table.tree(leader) if on_linux else _tree_by_psutil(leader)


def of_process(pid: int, *, shared: bool = True) -> Optional[Usage]:
    """What one process uses, with the time of children it has reaped; None if it is gone.

    Measuring `shared` memory takes the longest: the kernel looks at each page.
    """
    if sys.platform != "linux":
        return _by_psutil(pid)
    fields = process_table.stat(pid)
    if len(fields) <= _LAST:
        return None
    proportional, unique = _shared(pid) if shared else (None, None)
    return Usage(
        cpu_seconds=process_table.cpu_seconds(fields),
        resident=process_table.resident(fields),
        proportional=proportional,
        unique=unique,
        descriptors=_descriptors(pid),
        threads=int(fields[_THREADS]),
    )


def _shared(pid: int) -> tuple[Optional[int], Optional[int]]:
    """PSS and USS in bytes (proc_pid_smaps(5)); None where that is denied."""
    found: dict[bytes, int] = {}
    for line in process_table.smaps_rollup(pid).splitlines()[1:]:
        key, _, value = line.partition(b":")
        found[key] = int(value.split()[0]) * 1024
    if b"Pss" not in found:
        return None, None
    return found[b"Pss"], found[b"Private_Clean"] + found[b"Private_Dirty"]


def _descriptors(pid: int) -> Optional[int]:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


# ---- where there is no /proc ----


def _tree_by_psutil(leader: int) -> list[int]:
    import psutil

    try:
        return [leader, *(one.pid for one in psutil.Process(leader).children(recursive=True))]
    except (psutil.Error, OSError):
        return [leader]


def _by_psutil(pid: int) -> Optional[Usage]:
    import psutil

    with suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        times = process.cpu_times()
        return Usage(
            cpu_seconds=times.user + times.system + times.children_user + times.children_system,
            resident=process.memory_info().rss,
            proportional=None,
            unique=None,
            descriptors=process.num_fds(),
            threads=process.num_threads(),
        )
    return None
