"""Descendants: finds and kills the processes that are left when the supervisor ends."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from django_prodserver.supervisor.hints import TYPE_CHECKING, Optional
from django_prodserver.supervisor.life import LOSE_AFTER

from . import kernel
from .child import reap_all
from .clock import Clock
from .signals import SignalPipe

if TYPE_CHECKING:
    import psutil

# How often, in seconds, to look for the exit of a process whose parent cannot be killed: such an
# exit sends no SIGCHLD to this process.
LOOK_EVERY = 0.1


class Descendants:
    """All descendants of this process, except for the children it has now and their descendants.

    Such a child may be a program into which an entry script pipes its output before it becomes the
    supervisor. Children in `ours` are not spared.
    """

    def __init__(self, ours: Iterable[int] = ()) -> None:
        self._spared = _children() - set(ours)
        # Names by pid: of the processes that were killed, and of those that survived SIGKILL.
        self.killed: dict[int, str] = {}
        self.survivors: dict[int, str] = {}

    def spare(self, pids: Iterable[int]) -> None:
        """Never kill these children of this process, or their descendants."""
        self._spared.update(pids)

    def kill(
        self,
        clock: Clock,
        signals: SignalPipe,
        expected: Collection[int],
        killed: Mapping[int, float],
    ) -> bool:
        """SIGKILL and reap all descendants; False if they cannot be found.

        Each has LOSE_AFTER seconds to exit: from now, or from when its process group was `killed`
        before. That such a group survives SIGKILL is known already, and not recorded. Nor are
        processes recorded that are killed in the process groups that are `expected` to exist.
        """
        now = clock.now()
        known = {*expected, *killed}
        # Look at all of them in each round: when a parent dies, this process adopts its children.
        found = self._find()
        while found:
            for process in found:
                self._kill(process, known)
            ends = {one: killed.get(_group(one.pid), now) + LOSE_AFTER for one in found}
            waited_for = [process for process in found if ends[process] > clock.now()]
            if not waited_for:
                break
            ours = [one.pid for one in waited_for if _parent(one) == os.getpid()]
            if ours:
                reap_all(ours, clock, signals, min(ends[process] for process in waited_for))
            else:
                clock.sleep(signals.wait, LOOK_EVERY)
            found = self._find()
        survivors = [process for process in found or () if _group(process.pid) not in killed]
        self.survivors = {process.pid: _name(process) for process in survivors}
        return found is not None

    def _find(self) -> Optional[list[psutil.Process]]:
        children = kernel.children() if self._spared else None
        if children is not None and children <= self._spared:
            return []  # All others would descend from a child that is not spared.
        found = _find()
        if not found:
            return found
        parents = {process.pid: _parent(process) for process in found}
        return [
            process
            for process in found
            if not self._is_spared(process.pid, parents)
            # The zombie of another parent is left to that parent.
            and (parents[process.pid] == os.getpid() or not _is_zombie(process))
        ]

    def _is_spared(self, pid: Optional[int], parents: dict[int, Optional[int]]) -> bool:
        while pid is not None and pid not in self._spared:
            pid = parents.get(pid)
        return pid is not None

    def _kill(self, process: psutil.Process, known: Collection[int]) -> None:
        import psutil

        # A process that was killed before it had its own process group is known by its pid.
        if process.pid not in known and _group(process.pid) not in known:
            self.killed.setdefault(process.pid, _name(process))
        # AccessDenied: it has changed its user. It may exit all the same.
        with suppress(psutil.Error, OSError):
            process.kill()


def has_children() -> bool:
    """Whether this process has any children, including zombies."""
    try:
        if hasattr(os, "waitid"):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children() -> set[int]:
    """The pids of the children of this process; empty if they cannot be looked up."""
    if not has_children():
        return set()
    found = kernel.children()
    if found is None:
        found = {one.pid for one in _find() or () if _parent(one) == os.getpid()}
    return found


def _find() -> Optional[list[psutil.Process]]:
    """All descendants of this process; None if it has some that cannot be looked up."""
    if not has_children():
        return []
    if not kernel.shows_our_processes():
        return None
    try:
        import psutil  # Rarely needed; at the top it would add 10 ms to every start.
    except (ImportError, OSError):
        return None  # No file descriptor is left to read its files with.
    try:
        return psutil.Process().children(recursive=True)
    except (psutil.Error, OSError):
        return None


def _parent(process: psutil.Process) -> Optional[int]:
    import psutil

    try:
        return int(process.ppid())
    except (psutil.Error, OSError):
        return None


def _group(pid: int) -> int:
    """Its process group; 0, which is never a process group, if it has exited meanwhile."""
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _is_zombie(process: psutil.Process) -> bool:
    import psutil

    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except (psutil.Error, OSError):
        return True  # It has exited meanwhile.


def _name(process: psutil.Process) -> str:
    import psutil

    try:
        return str(process.name())
    except (psutil.Error, OSError):
        return "?"
