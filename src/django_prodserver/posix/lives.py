"""Lives, as processes: each is a leader with its process group, its pipes and its notify socket."""

from __future__ import annotations

import os
import random
import selectors
from collections.abc import Mapping, Sequence
from contextlib import suppress
from signal import SIGKILL, Signals
from typing import Callable, NoReturn, Optional, Union

from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import (
    Exited,
    ExitStatus,
    GroupGone,
    Measured,
    ReadyLine,
    Spawned,
    SpawnFailed,
)
from django_prodserver.supervisor.spec import Ref

from . import child, groups, kernel, memory
from .line_search import LineSearch
from .log import Log
from .loop import Loop
from .notify import NotifySocket
from .program import Program
from .socket_folder import SocketFolder
from .streams import Stream


class Leader:
    """The process that leads the process group of a life, and what connects it to the supervisor.

    Its pid is that of the group, too.
    """

    __slots__ = ("killed", "notify", "pid", "program", "ref", "streams")

    def __init__(self, ref: Ref, program: Program, streams: Sequence[Stream]) -> None:
        self.ref = ref
        self.program = program
        self.streams = streams
        self.notify: Optional[NotifySocket] = None
        self.pid = 0
        # When its group was sent SIGKILL first.
        self.killed: Optional[float] = None


class Lives:
    """All lives whose processes may exist. Outside of it they are addressed by their `Ref`.

    `release` gives back, in a forked child, what else belongs to the supervisor.
    """

    def __init__(
        self,
        program_of: Callable[[str], Program],
        loop: Loop,
        log: Log,
        release: Callable[[], None],
    ) -> None:
        self._program_of = program_of
        self._loop = loop
        self._log = log
        self._release_others = release
        self._oom_kills = memory.OomKills()
        # That there is no way to measure it.
        self._told_of_memory = False
        # Made when the first life reports.
        self._folder: Optional[SocketFolder] = None
        # Each leader is in `_known`, and in one of the others: until it is reaped, until its group
        # is empty, and until that has been dealt with.
        self._known: dict[Ref, Leader] = {}
        self._running: dict[int, Leader] = {}
        self._exited: dict[int, Leader] = {}
        self._gone: list[Leader] = []

    # ---- commands ----

    def spawn(self, ref: Ref) -> Union[Spawned, SpawnFailed]:
        program = self._program_of(ref.name)
        try:
            leader = self._start(ref, program)
        except OSError as error:
            return SpawnFailed(ref, str(error), random.random())
        self._known[ref] = self._running[leader.pid] = leader
        self._log.add(leader.streams)
        if leader.notify is not None:
            self._loop.selector.register(
                leader.notify, selectors.EVENT_READ, lambda: self._read_notifications(leader)
            )
        return Spawned(ref)

    def kill(self, ref: Ref, signal: Signals, group: bool) -> None:
        leader = self._known.get(ref)
        if leader is None:
            return
        # Never a pid that was reaped meanwhile, two having exited at once: it may be another's.
        # PermissionError: it runs as another user by now, which only that user or root can end.
        with suppress(PermissionError):
            if group and self._has_group(leader):
                if signal == SIGKILL and leader.killed is None:
                    leader.killed = self._loop.clock.now()
                self._kill_group(leader, signal)
            elif self._is_running(leader):
                os.kill(leader.pid, signal)

    def measure(self, ref: Ref) -> None:
        leader = self.running(ref)
        if leader is None:
            return
        found = memory.of_tree(leader.pid)
        if found is not None:
            self._loop.emit(Measured(ref, found))
        elif not (self._told_of_memory or kernel.shows_our_processes()):
            self._told_of_memory = True
            self._log.say(report.memory_hidden())

    # ---- what is known ----

    def running(self, ref: Ref) -> Optional[Leader]:
        """The leader of this life, unless that has exited."""
        leader = self._known.get(ref)
        return leader if leader is not None and self._is_running(leader) else None

    def pid(self, ref: Ref) -> Optional[int]:
        leader = self._known.get(ref)
        return None if leader is None else leader.pid

    def members(self, ref: Ref) -> Sequence[tuple[str, int]]:
        leader = self._known.get(ref)
        if leader is None or not self._has_group(leader):
            return []
        return groups.members(leader.pid)

    @property
    def killed_groups(self) -> Mapping[int, float]:
        """The groups that were sent SIGKILL and may not be empty, and when that was first."""
        leaders = [*self._running.values(), *self._exited.values()]
        return {one.pid: one.killed for one in leaders if one.killed is not None}

    # ---- what happens ----

    def read_notifications(self) -> None:
        """Read what was reported, while it can still be told which process sent it."""
        for leader in self._running.values():
            self._read_notifications(leader)

    def reaped(self, pid: int, status: ExitStatus) -> Optional[Ref]:
        """Take note of the exit of a leader; None if the process was not one."""
        leader = self._running.pop(pid, None)
        if leader is None:
            return None
        self._read_notifications(leader)
        self._close_notify_socket(leader)
        self._log.read_last_words(leader.streams)
        self._exited[pid] = leader
        out_of_memory = self._oom_kills.explains(status, self._loop.clock.now())
        self._loop.emit(Exited(leader.ref, status, out_of_memory, random.random()))
        return leader.ref

    def sweep(self) -> None:
        """Report the groups of exited leaders that are empty."""
        for leader in [one for one in self._exited.values() if groups.is_empty(one.pid)]:
            del self._exited[leader.pid]
            self._gone.append(leader)
            self._loop.emit(GroupGone(leader.ref))

    def forget_gone(self) -> None:
        """Forget lives that are gone; to be called once the events that tell so are dealt with."""
        for leader in self._gone:
            del self._known[leader.ref]
        self._gone.clear()

    # ---- the end ----

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        for leader in self._running.values():
            if leader.notify is not None:
                leader.notify.release()
        if self._folder is not None:
            self._folder.release()

    def kill_all(self) -> set[int]:
        """SIGKILL what is running; returns the pids of the leaders."""
        for leader in self._running.values():
            with suppress(PermissionError):
                self._kill_group(leader, SIGKILL)
        return set(self._running)

    def close(self) -> None:
        for leader in self._running.values():
            if leader.notify is not None:
                leader.notify.close()
        if self._folder is not None:
            self._folder.close()

    # ---- how ----

    def _start(self, ref: Ref, program: Program) -> Leader:
        """Fork the leader. Raises OSError, and leaves nothing open then."""
        pipes = self._log.create(ref.name)
        leader = Leader(ref, program, pipes.streams)
        self._search(leader)
        parent = os.getpid()

        def release() -> None:
            self._release_others()
            self.release()
            for stream in leader.streams:
                os.close(stream.fd)
            if leader.notify is not None:
                leader.notify.release()

        def become() -> NoReturn:
            address = leader.notify.address if leader.notify else None
            child.become(program, parent, pipes.stdout, pipes.stderr, address, release)

        try:
            if program.notifies:
                leader.notify = self._open_notify_socket()
            leader.pid = child.fork(become, self._loop.signals)
        except OSError:
            pipes.close_ours()
            if leader.notify is not None:
                leader.notify.close()
            raise
        finally:
            pipes.close_theirs()
        return leader

    def _search(self, leader: Leader) -> None:
        """Let its output be searched for the line that tells that it is ready."""
        ref, pattern = leader.ref, leader.program.ready_line
        if pattern is None:
            return
        search = LineSearch(
            pattern,
            found=lambda: self._loop.emit(ReadyLine(ref)),
            gave_up=lambda: self._log.say(report.search_given_up(ref.name)),
        )
        for stream in leader.streams:
            stream.search = search

    def _is_running(self, leader: Leader) -> bool:
        # The pid of a leader that is gone may be that of another one by now.
        return self._running.get(leader.pid) is leader

    def _has_group(self, leader: Leader) -> bool:
        return self._is_running(leader) or self._exited.get(leader.pid) is leader

    def _kill_group(self, leader: Leader, signal: Signals) -> None:
        try:
            os.killpg(leader.pid, signal)
        except ProcessLookupError:
            if self._is_running(leader):
                os.kill(leader.pid, signal)  # Forked this moment, it has no group of its own yet.
            else:
                self.sweep()

    def _open_notify_socket(self) -> NotifySocket:
        if self._folder is None:
            with suppress(OSError):  # There is no place for one.
                self._folder = SocketFolder()
        return NotifySocket(self._folder)

    def _close_notify_socket(self, leader: Leader) -> None:
        # Its callback may still be called in this round of the poll.
        notify, leader.notify = leader.notify, None
        if notify is not None:
            self._loop.selector.unregister(notify)
            notify.close()
            if notify.ignored:
                self._log.say(report.notifications_ignored(leader.ref.name, notify.ignored))

    def _read_notifications(self, leader: Leader) -> None:
        if leader.notify is not None:
            for notified in leader.notify.receive(leader.ref, session=leader.pid):
                self._loop.emit(notified)
