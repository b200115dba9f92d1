"""CPU time and memory of whole process trees, as far as this user may read them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from django_prodserver.posix import process_table
from django_prodserver.supervisor.hints import Any, Optional


def add_usage(status: dict[str, Any]) -> None:
    """Fill in `cpu_seconds` and `memory_bytes` of a status; unknown values stay null."""
    for process in status["processes"]:
        for instance in process["instances"]:
            if instance["pid"] is not None:
                instance["cpu_seconds"], memory = of_tree(instance["pid"])
                if memory is not None:
                    instance["memory_bytes"] = memory


class CpuShares:
    """The share of one processor that each instance has used between two statuses."""

    def __init__(self) -> None:
        self._at = 0.0
        # CPU seconds by name and PID, so that an instance is not compared with its previous life.
        self._used: Mapping[tuple[str, int], float] = {}

    def since_last(self, status: Mapping[str, Any], at: float) -> dict[str, float]:
        """Return the shares by instance name; `at` is the time of this status, in seconds."""
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
    """Return CPU time in seconds, including children that have exited, and memory in bytes."""
    if not os.path.isdir("/proc/self"):
        return _of_tree_elsewhere(pid)
    cpu, memory = [], []
    for one in process_table.tree(pid):
        fields = process_table.stat(one)
        if fields:
            cpu.append(process_table.cpu_seconds(fields))
            memory.append(_memory(one, fields))
    return sum(cpu) if cpu else None, sum(memory) if memory else None


def _memory(pid: int, fields: Sequence[bytes]) -> int:
    """Return the PSS of a process, or its resident memory if the PSS cannot be read."""
    for line in process_table.smaps_rollup(pid).splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return process_table.resident(fields)


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
