"""What processes use: CPU time and memory of their whole trees, as far as this user may know."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from django_prodserver.posix import process_table
from django_prodserver.supervisor.hints import Any, Optional

# In /proc/PID/stat behind the name, see proc_pid_stat(5): utime, stime, cutime and cstime.
_TIMES = slice(14 - 3, 18 - 3)


def add_usage(status: dict[str, Any]) -> None:
    """Fill in `cpu_seconds` and `memory_bytes` of a status; what is not known stays null."""
    for process in status["processes"]:
        for instance in process["instances"]:
            if instance["pid"] is not None:
                instance["cpu_seconds"], memory = of_tree(instance["pid"])
                if memory is not None:
                    instance["memory_bytes"] = memory


class CpuShares:
    """The part of a processor that each instance has used between two looks at the status."""

    def __init__(self) -> None:
        self._at = 0.0
        # By the name and the pid of each instance: one that has been replaced starts again.
        self._used: Mapping[tuple[str, int], float] = {}

    def since_last(self, status: Mapping[str, Any], at: float) -> dict[str, float]:
        """By the names of instances; `at` is the moment of this look, in seconds."""
        seconds, before = at - self._at, self._used
        self._at, self._used = at, _cpu_seconds(status)
        return {
            name: max(0.0, used - before[name, pid]) / seconds
            for (name, pid), used in self._used.items()
            if (name, pid) in before and seconds > 0
        }


def _cpu_seconds(status: Mapping[str, Any]) -> dict[tuple[str, int], float]:
    return {
        (one["name"], one["pid"]): one["cpu_seconds"]
        for process in status["processes"]
        for one in process["instances"]
        if one["cpu_seconds"] is not None
    }


def of_tree(pid: int) -> tuple[Optional[float], Optional[int]]:
    """CPU time in seconds, that of children that have ended included, and memory in bytes."""
    if not os.path.isdir("/proc/self"):
        return _of_tree_elsewhere(pid)
    cpu, memory = [], []
    for one in _tree(pid):
        seconds, size = _cpu(one), _pss(one)
        if seconds is not None:
            cpu.append(seconds)
        if size is not None:
            memory.append(size)
    return sum(cpu) if cpu else None, sum(memory) if memory else None


def _tree(pid: int) -> Iterator[int]:
    left = [pid]
    while left:
        one = left.pop()
        yield one
        children = process_table.children(one)
        if children is None:
            # The kernel does not list them.
            table = process_table.processes()
            left += [below.pid for below in process_table.below([one], table)]
            yield from left
            return
        left += children


def _cpu(pid: int) -> Optional[float]:
    stat = _read(f"/proc/{pid}/stat")
    times = stat[stat.rfind(b")") + 1 :].split()[_TIMES]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK") if times else None


def _pss(pid: int) -> Optional[int]:
    """The memory of a process, where a part of what is shared counts; or all of what it has."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    pages = _read(f"/proc/{pid}/statm").split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else None


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""  # It is gone, or another user's.


def _of_tree_elsewhere(pid: int) -> tuple[Optional[float], Optional[int]]:
    import psutil

    cpu, memory = 0.0, 0
    try:
        leader = psutil.Process(pid)
        for one in (leader, *leader.children(recursive=True)):
            times = one.cpu_times()
            cpu += times.user + times.system
            memory += one.memory_info().rss
    except (psutil.Error, OSError):
        return None, None
    return cpu, memory
