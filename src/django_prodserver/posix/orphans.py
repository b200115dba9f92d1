"""Orphans: what a life has left behind outside of its process group, such as a daemon.

When their parents have ended they are children of the supervisor, which adopts all of its
descendants (`kernel.adopt_orphans`). They are told from other children by the mark of the life.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from django_prodserver.supervisor.values import Value

from . import kernel, marks, process_table
from .process_table import Process


class Found(Value):
    """The names and pids of what was killed now, and whether anything may be about to end."""

    killed: list[tuple[str, int]]
    ending: bool


class Search:
    """The orphans of one life: looked for until none of them is left."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._names: dict[int, str] = {}

    def is_over(self, known: Collection[int]) -> bool:
        """SIGKILL what is there, as `kill` does; false while anything is about to end."""
        found = kill(self._mark, known)
        self._names.update({pid: name for name, pid in found.killed})
        return not found.ending

    @property
    def killed(self) -> list[tuple[str, int]]:
        """The names and pids of what that has ended. Of the rest the end of this process tells."""
        return [(name, pid) for pid, name in self._names.items() if _has_ended(pid)]


def kill(mark: str, known: Collection[int]) -> Found:
    """SIGKILL the orphans of the life with this mark.

    To be called once its process group is empty, and again until nothing is ending: what was killed
    takes a moment to close its sockets, and what it has started meanwhile becomes a child of this
    process only then. `known` are the children of this process that are no orphans. Where there are
    no others this is one look at the list of our children.
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
    # Looked up last: what has begun to end since the table was read shows no mark, either.
    return Found(named, bool(found) or any(map(_is_ending, adopted)))


def _has_ended(pid: int) -> bool:
    """Of a process that was a child of this one."""
    try:
        # A traced zombie has not: its tracer comes first (ptrace(2)).
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return not process_table.exists(pid)


def _is_ending(pid: int) -> bool:
    now = process_table.process(pid)
    return now is not None and now.size == 0


def _of_life(mark: str, adopted: set[int], table: Mapping[int, Process]) -> list[Process]:
    """Of the adopted and their descendants those that are marked, and what descends from these."""
    candidates = [*(table[pid] for pid in adopted), *process_table.below(adopted, table)]
    marked = {
        one.pid for one in candidates if marks.carries(process_table.environment(one.pid), mark)
    }
    return [*(table[pid] for pid in marked), *process_table.below(marked, table)]
