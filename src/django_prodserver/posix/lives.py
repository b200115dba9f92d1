"""Lives, as processes: each is a leader with its process group, its pipes and its notify socket."""

from __future__ import annotations

import os
import selectors
from collections.abc import Mapping, Sequence
from contextlib import suppress
from errno import EADDRINUSE
from functools import partial
from signal import SIGKILL, Signals

from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import (
    Exited,
    ExitStatus,
    GroupGone,
    Measured,
    Notified,
    ReadyLine,
    Spawned,
    SpawnFailed,
)
from django_prodserver.supervisor.hints import Callable, Optional, Union
from django_prodserver.supervisor.spec import Ref, process_of

from . import board, groups, kernel, marks, memory, orphans
from .child import Ties
from .line_search import LineSearch
from .log import Log, Pipes
from .loop import Loop
from .notify import VARIABLE, NotifySocket
from .program import Program
from .socket_folder import SocketFolder
from .sockets import CannotListen, HeldSockets
from .starting import Birth, Starter


class Leader:
    """The process that leads the process group of a life, and what connects it to the supervisor.

    Its pid is that of the group, too; 0 as long as it is not begun.
    """

    __slots__ = ("birth", "board", "killed", "notify", "orphans", "pid", "pipes", "program", "ref")

    def __init__(self, ref: Ref, program: Program, pipes: Pipes, mark: str) -> None:
        self.ref = ref
        self.program = program
        self.pipes = pipes
        self.notify: Optional[NotifySocket] = None
        # The path of the file that tells how busy it is, or "".
        self.board = ""
        # While its answer is awaited.
        self.birth: Optional[Birth] = None
        self.pid = 0
        # When its group was sent SIGKILL first.
        self.killed: Optional[float] = None
        # What it left behind outside of its group.
        self.orphans = orphans.Search(mark)


class Lives:
    """All lives whose processes may exist. Outside of it they are addressed by their `Ref`.

    `sockets` are those at which they listen. `run` marks all of them. `children` has the pids of
    all known children of this process.
    """

    def __init__(
        self,
        program_of: Callable[[Ref], Program],
        starter: Starter,
        sockets: HeldSockets,
        loop: Loop,
        log: Log,
        run: str,
        children: Callable[[], set[int]],
    ) -> None:
        self._program_of = program_of
        self._starter = starter
        self._sockets = sockets
        self._loop = loop
        self._log = log
        self._run = run
        self._children = children
        self._oom_kills = memory.OomKills()
        # That there is no way to measure it.
        self._told_of_memory = False
        # What all lives have in their environment.
        self.environ: dict[str, str] = {}
        # Made when the first life reports.
        self._folder: Optional[SocketFolder] = None
        # Each leader is in `_known`, and in one of the others: until it is begun, until it is
        # reaped, until its group is empty, and until that has been dealt with.
        self._known: dict[Ref, Leader] = {}
        self._starting: dict[Ref, Leader] = {}
        self._running: dict[int, Leader] = {}
        self._exited: dict[int, Leader] = {}
        self._gone: list[Leader] = []
        # Not listened to yet.
        self._fresh: list[Leader] = []
        # Those that begin once a process group is empty that still listens at their addresses.
        self._postponed: list[Ref] = []

    # ---- commands ----

    def spawn(self, ref: Ref) -> None:
        """Begin a life; the loop emits `Spawned` or `SpawnFailed`."""
        try:
            leader = self._create(ref)
        except CannotListen as error:
            if error.error.errno == EADDRINUSE and self._has_leaders(error.process):
                self._postponed.append(ref)
            else:
                self._loop.emit(SpawnFailed(ref, str(error), _random()))
            return
        except OSError as error:
            self._loop.emit(SpawnFailed(ref, str(error), _random()))
            return
        self._known[ref] = self._starting[ref] = leader
        assert leader.birth is not None
        try:
            self._starter.begin(leader.birth)
        except OSError as error:
            self._begun(leader, str(error))

    def cancel_spawn(self, ref: Ref) -> None:
        """Let it not begin, unless it has: the answer is `SpawnFailed` then."""
        if ref in self._postponed:
            self._postponed.remove(ref)
            self._loop.emit(SpawnFailed(ref, "cancelled", _random()))
        leader = self._starting.get(ref)
        if leader is not None and leader.birth is not None:
            self._starter.cancel(leader.birth)
            self._begun(leader, "cancelled")

    def listen(self) -> None:
        """Read from now on what new lives write, which follows the line that they are started."""
        fresh, self._fresh = self._fresh, []
        for leader in fresh:
            self._log.add(leader.pipes.streams)
            if leader.notify is not None:
                self._loop.selector.register(
                    leader.notify, selectors.EVENT_READ, partial(self._read_notifications, leader)
                )

    def kill(self, ref: Ref, signal: Signals, group: bool) -> None:
        if signal != SIGKILL and self._sockets.afterwards(
            process_of(ref.name), lambda: self.kill(ref, signal, group)
        ):
            return
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
        return None if leader is None else leader.pid or None

    def leaders(self) -> Mapping[str, list[int]]:
        """The pids of the leaders that run, by the names of instances."""
        found: dict[str, list[int]] = {}
        for pid, leader in self._running.items():
            found.setdefault(leader.ref.name, []).append(pid)
        return found

    def busy(self, process: str) -> Mapping[str, float]:
        """For how long requests have been in flight, summed up, by the names of instances."""
        found: dict[str, float] = {}
        for leader in self._running.values():
            name = leader.ref.name
            if leader.board and process_of(name) == process:
                with suppress(OSError):
                    found[name] = found.get(name, 0.0) + board.busy_seconds(leader.board)
        return found

    @property
    def groups(self) -> set[int]:
        """Their process groups, up to the moment when nothing is left of a life."""
        return self._running.keys() | self._exited.keys()

    def folder(self, ref: Ref) -> str:
        """In which it was started."""
        leader = self._known.get(ref)
        return (leader and leader.program.context.folder) or os.getcwd()

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
        self.listen()
        self._read_notifications(leader)
        self._close_notify_socket(leader)
        if leader.board:
            with suppress(FileNotFoundError):  # Removed with its folder.
                os.unlink(leader.board)
        self._log.read_last_words(leader.pipes.streams)
        self._exited[pid] = leader
        out_of_memory = self._oom_kills.explains(status, self._loop.clock.now())
        self._loop.emit(Exited(leader.ref, status, out_of_memory, _random()))
        return leader.ref

    def sweep(self) -> None:
        """Report the groups of exited leaders that are empty."""
        for leader in [one for one in self._exited.values() if groups.is_empty(one.pid)]:
            if not leader.orphans.is_over(self._children()):
                continue
            if leader.orphans.killed:
                self._log.say(report.killed_orphans(leader.ref.name, leader.orphans.killed))
            del self._exited[leader.pid]
            self._gone.append(leader)
            self._starter.forget(leader.pid)
            self._loop.emit(GroupGone(leader.ref))
            postponed, self._postponed = self._postponed, []
            for ref in postponed:
                self.spawn(ref)

    def forget_gone(self) -> None:
        """Forget lives that are gone; to be called once the events that tell so are dealt with."""
        for leader in self._gone:
            del self._known[leader.ref]
        self._gone.clear()

    # ---- the end ----

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        for leader in (*self._running.values(), *self._starting.values()):
            if leader.notify is not None:
                leader.notify.release()
        for leader in (*self._starting.values(), *self._fresh):
            leader.pipes.close_ours()
        if self._folder is not None:
            self._folder.release()

    def kill_all(self) -> set[int]:
        """SIGKILL what is running; returns the pids of the leaders."""
        for leader in self._running.values():
            with suppress(PermissionError):
                self._kill_group(leader, SIGKILL)
        return set(self._running)

    def close(self) -> None:
        for ref in list(self._starting):
            self.cancel_spawn(ref)
        for leader in self._running.values():
            if leader.notify is not None:
                leader.notify.close()
        if self._folder is not None:
            self._folder.close()

    # ---- how ----

    def _create(self, ref: Ref) -> Leader:
        """What a life needs before it begins. Raises OSError, and leaves nothing open then."""
        program = self._program_of(ref)
        sockets = self._sockets.open(program, ref.generation) if program.listens else ()
        pipes = self._log.create(ref.name)
        mark = marks.of_life(self._run, ref)
        leader = Leader(ref, program, pipes, mark)
        self._search(leader)
        try:
            if program.notifies:
                leader.notify = self._open_notify_socket()
        except OSError:
            pipes.close_ours()
            pipes.close_theirs()
            raise
        environ = dict(self.environ)
        if leader.notify is not None:
            environ[VARIABLE] = leader.notify.address
        if program.tells_busy:
            leader.board = self._create_board()
        if leader.board:
            environ[board.VARIABLE] = leader.board
        ties = Ties(pipes.stdout, pipes.stderr, mark, environ, sockets)
        begun = partial(self._begun, leader)
        leader.birth = Birth(program, ties, begun, ref.generation)
        return leader

    def _begun(self, leader: Leader, answer: Union[int, str]) -> None:
        ref = leader.ref
        del self._starting[ref]
        if leader.birth is not None:
            leader.program, leader.birth = leader.birth.program, None
        leader.pipes.close_theirs()
        if isinstance(answer, str):
            del self._known[ref]
            leader.pipes.close_ours()
            if leader.notify is not None:
                leader.notify.close()
            self._loop.emit(SpawnFailed(ref, answer, _random()))
            return
        leader.pid = answer
        self._running[answer] = leader
        self._fresh.append(leader)
        self._starter.watch(answer)
        self._loop.emit(Spawned(ref))

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
        for stream in leader.pipes.streams:
            stream.search = search

    def _is_running(self, leader: Leader) -> bool:
        # The pid of a leader that is gone may be that of another one by now.
        return self._running.get(leader.pid) is leader

    def _has_group(self, leader: Leader) -> bool:
        return self._is_running(leader) or self._exited.get(leader.pid) is leader

    def _has_leaders(self, process: str) -> bool:
        leaders = (*self._running.values(), *self._exited.values())
        return any(process_of(one.ref.name) == process for one in leaders)

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

    def _create_board(self) -> str:
        """The path of a new one; "" if there is no place for it."""
        with suppress(OSError):
            self._folder = self._folder or SocketFolder()
            path = self._folder.new_path()
            board.create(path)
            return path
        return ""

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
                if isinstance(notified, Notified) and notified.ready:
                    self._sockets.listen_again(process_of(leader.ref.name))
                self._loop.emit(notified)


def _random() -> float:
    """From 0 to 1."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
