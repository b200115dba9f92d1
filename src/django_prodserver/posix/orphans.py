"""Orphans: processes that a life has left behind outside of its process group, such as a daemon.

Once their parents have exited they are children of the supervisor, which adopts all of its
descendants (`kernel.adopt_orphans`). The mark of the life tells them from other children.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from django_prodserver.supervisor.values import Value

from . import kernel, marks, process_table
from .process_table import Process


class Found(Value):
    """The names and pids of the processes killed now; and whether any may still be exiting."""

    killed: list[tuple[str, int]]
    ending: bool


class Search:
    """The search for the orphans of one life, repeated until none is left."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._names: dict[int, str] = {}

    def is_over(self, known: Collection[int]) -> bool:
        """SIGKILL the orphans found now, see `kill`; False while any may still be exiting."""
        found = kill(self._mark, known)
        self._names.update({pid: name for name, pid in found.killed})
        return not found.ending

    @property
    def killed(self) -> list[tuple[str, int]]:
        """Names and pids of killed orphans that have exited; `PosixSystem.close` logs the rest."""
        return [(name, pid) for pid, name in self._names.items() if _has_ended(pid)]


def kill(mark: str, known: Collection[int]) -> Found:
    """SIGKILL the orphans of the life with this mark.

    Call it once the process group is empty, and again until no orphan is exiting: a killed process
    takes a moment to close its sockets, and only then do its children become children of this
    process. `known` are the children of this process that are not orphans. If there are no others,
    this only reads the list of our children.
    """
    if not kernel.shows_our_processes():
        return Found([], False)
    listed = process_table.children(os.getpid())
    if listed is not None and not set(listed) - set(known):
        return Found([], False)
    table = process_table.processes()
    adopted = {one.pid for one in table.values() if one.parent == os.getpid()} - set(known)
    found = _of_life(mark, adopted, table)
    named = [(process_table.name(one.pid), one.pid) for one in found]
    for one in found:
        if one.session != os.getsid(0):
            process_table.kill_group(one)
        process_table.kill(one)
    # Checked last: a process that began to exit after the table was read shows no mark, either.
    return Found(named, bool(found) or any(map(_is_ending, adopted)))


def _has_ended(pid: int) -> bool:
    """Whether a process that is or was a child of this one has exited."""
    try:
        # False for a traced zombie: its tracer has to reap it first (ptrace(2)).
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return not process_table.exists(pid)


def _is_ending(pid: int) -> bool:
    now = process_table.process(pid)
    return now is not None and now.size == 0


def _of_life(mark: str, adopted: set[int], table: Mapping[int, Process]) -> list[Process]:
    """The marked processes among the adopted and their descendants, with all descendants."""
    candidates = [*(table[pid] for pid in adopted), *process_table.below(adopted, table)]
    marked = {
        one.pid for one in candidates if marks.carries(process_table.environment(one.pid), mark)
    }
    return [*(table[pid] for pid in marked), *process_table.below(marked, table)]
