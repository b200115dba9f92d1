"""Processes as /proc shows them, for callers that cannot wait 10 ms for the import of psutil.

Callers must make sure that /proc shows their own pids: `kernel.shows_our_processes`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.values import Value

# Indices into the fields of `stat`.
_STATE, _PARENT, _GROUP, _SESSION, _STARTED, _SIZE = 3 - 3, 4 - 3, 5 - 3, 6 - 3, 22 - 3, 23 - 3
# Processor time of the process and of its reaped children; resident memory in pages.
_TIMES, _RESIDENT = slice(14 - 3, 18 - 3), 24 - 3
_DEAD = b"ZXx"
_AT_ONCE = 1 << 16


class Process(Value):
    """A process that is not a zombie. Its start time tells it from another with the same pid."""

    pid: int
    parent: int
    group: int
    session: int
    started: int
    # Of its virtual memory; 0 while it exits: it has no environment any more, but may hold a port.
    size: int


def pids() -> list[int]:
    """All pids, the youngest first, so as not to miss a process that keeps forking and exiting."""
    try:
        return sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True)
    except OSError:
        return []


def stat(pid: int) -> list[bytes]:
    """The fields of proc_pid_stat(5) after the name, which may hold anything; empty if it is gone.

    The man page counts from 1; the first field here is its number 3.
    """
    line = _read(f"/proc/{pid}/stat")
    return line[line.rfind(b")") + 1 :].split()


def cpu_seconds(fields: Sequence[bytes]) -> float:
    """Processor time of a process and of the children that it has reaped, from `stat`."""
    return sum(map(int, fields[_TIMES])) / os.sysconf("SC_CLK_TCK")


def resident(fields: Sequence[bytes]) -> int:
    """Resident memory in bytes, including all shared memory, from `stat`."""
    return int(fields[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE")


def smaps_rollup(pid: int) -> bytes:
    """How the memory is shared (proc_pid_smaps(5)); empty where reading it is not permitted."""
    return _read(f"/proc/{pid}/smaps_rollup")


def process(pid: int) -> Optional[Process]:
    fields = stat(pid)
    if len(fields) <= _SIZE or fields[_STATE] in _DEAD:
        return None
    wanted = (_PARENT, _GROUP, _SESSION, _STARTED, _SIZE)
    return Process(pid, *(int(fields[index]) for index in wanted))


def processes() -> dict[int, Process]:
    found = (process(pid) for pid in pids())
    return {one.pid: one for one in found if one is not None}


def below(ancestors: Iterable[int], table: Mapping[int, Process]) -> list[Process]:
    """The descendants of these pids in a table, without the pids themselves."""
    children: dict[int, list[Process]] = {}
    for one in table.values():
        children.setdefault(one.parent, []).append(one)
    seen = set(ancestors)
    parents, found = list(seen), []
    while parents:
        for child in children.get(parents.pop(), ()):
            if child.pid not in seen:
                seen.add(child.pid)
                parents.append(child.pid)
                found.append(child)
    return found


def tree(leader: int) -> Iterator[int]:
    """The pids of a process and of all that descend from it."""
    left = [leader]
    while left:
        pid = left.pop()
        yield pid
        listed = children(pid)
        if listed is None:
            # The kernel does not list children.
            left += [one.pid for one in below([pid], processes())]
            yield from left
            return
        left += listed


def environment(pid: int) -> bytes:
    """The content of /proc/PID/environ; empty where reading it is not permitted."""
    return _read(f"/proc/{pid}/environ")


def exists(pid: int) -> bool:
    """Whether the process exists, even as a zombie. Uses kill(2), so it needs no /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # It belongs to another user.
        pass
    return True


def name(pid: int) -> str:
    return _read(f"/proc/{pid}/comm").decode(errors="replace").rstrip("\n") or "?"


def children(pid: int) -> Optional[list[int]]:
    """The pids of its children; None where the kernel does not list them (CONFIG_PROC_CHILDREN)."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as listed:
                found.extend(map(int, listed.read().split()))
    except FileNotFoundError:
        return None if exists(pid) else found
    except OSError:
        pass
    return found


def kill(victim: Process) -> None:
    """SIGKILL it, but no other process that has reused its pid. Does nothing if not permitted."""
    with suppress(OSError):
        handle = os.pidfd_open(victim.pid) if hasattr(os, "pidfd_open") else -1
        try:
            now = process(victim.pid)
            if now is None or now.started != victim.started:
                return
            if handle >= 0:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            else:
                os.kill(victim.pid, signal.SIGKILL)
        finally:
            if handle >= 0:
                os.close(handle)


def kill_group(member: Process) -> None:
    """SIGKILL its process group: a child that is just being forked cannot escape (kill(2))."""
    with suppress(OSError):
        os.killpg(member.group, signal.SIGKILL)


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""  # It is gone, or another user's.
    try:
        content = chunk = os.read(fd, _AT_ONCE)
        while len(chunk) == _AT_ONCE:
            chunk = os.read(fd, _AT_ONCE)
            content += chunk
        return content
    except OSError:
        return b""
    finally:
        os.close(fd)
