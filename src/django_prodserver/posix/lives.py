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
from .child import Wiring
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

    Its pid is also the id of the process group; 0 until the process has been started.
    """

    __slots__ = ("birth", "board", "killed", "notify", "orphans", "pid", "pipes", "program", "ref")

    def __init__(self, ref: Ref, program: Program, pipes: Pipes, mark: str) -> None:
        self.ref = ref
        self.program = program
        self.pipes = pipes
        self.notify: Optional[NotifySocket] = None
        # The path of the file in which the life records how busy it is (see `board`), or "".
        self.board = ""
        # The pending start; None once the starter has answered.
        self.birth: Optional[Birth] = None
        self.pid = 0
        # When its process group was first sent SIGKILL.
        self.killed: Optional[float] = None
        # Finds and kills what it left behind outside its process group.
        self.orphans = orphans.Search(mark)


class Lives:
    """All lives whose processes may still exist. Other code addresses them by their `Ref`.

    `sockets` are their held sockets. The mark of each life begins with `run`. `children` returns
    the pids of all known children of this process.
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
        # Whether the log says already that memory cannot be measured.
        self._warned_of_memory = False
        # Added to the environment of every life.
        self.environ: dict[str, str] = {}
        # Created for the first notify socket or board.
        self._folder: Optional[SocketFolder] = None
        # Each leader is in `_known` and in one of the next four: until it is started, until it is
        # reaped, until its process group is empty, and until `GroupGone` has been handled.
        self._known: dict[Ref, Leader] = {}
        self._starting: dict[Ref, Leader] = {}
        self._running: dict[int, Leader] = {}
        self._exited: dict[int, Leader] = {}
        self._gone: list[Leader] = []
        # Started, but their output and notifications are not read yet.
        self._fresh: list[Leader] = []
        # Lives whose address is still in use by another life of the same process. Each is tried
        # again whenever a process group has become empty.
        self._postponed: list[Ref] = []

    # ---- commands ----

    def spawn(self, ref: Ref) -> None:
        """Start a life; the loop emits `Spawned` or `SpawnFailed`."""
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
        """Cancel a start that is still pending, and emit `SpawnFailed`; else do nothing."""
        if ref in self._postponed:
            self._postponed.remove(ref)
            self._loop.emit(SpawnFailed(ref, "cancelled", _random()))
        leader = self._starting.get(ref)
        if leader is not None and leader.birth is not None:
            self._starter.cancel(leader.birth)
            self._begun(leader, "cancelled")

    def listen(self) -> None:
        """Start reading the output of new lives; it must follow the line for their start."""
        fresh, self._fresh = self._fresh, []
        for leader in fresh:
            self._log.add(leader.pipes.streams)
            if leader.notify is not None:
                self._loop.selector.register(
                    leader.notify, selectors.EVENT_READ, partial(self._read_notifications, leader)
                )

    def kill(self, ref: Ref, signal: Signals, group: bool) -> None:
        if signal != SIGKILL and self._sockets.call_once_closed(
            process_of(ref.name), lambda: self.kill(ref, signal, group)
        ):
            return
        leader = self._known.get(ref)
        if leader is None:
            return
        # Never signal a pid that has been reaped (two lives may exit at once): the kernel may have
        # reused it. PermissionError: the life has changed its user, and only root or that user may
        # signal it.
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
        elif not (self._warned_of_memory or kernel.shows_our_processes()):
            self._warned_of_memory = True
            self._log.say(report.memory_hidden())

    # ---- queries ----

    def running(self, ref: Ref) -> Optional[Leader]:
        """The leader of this life; None once it has exited."""
        leader = self._known.get(ref)
        return leader if leader is not None and self._is_running(leader) else None

    def pid(self, ref: Ref) -> Optional[int]:
        leader = self._known.get(ref)
        return None if leader is None else leader.pid or None

    def leaders(self) -> Mapping[str, list[int]]:
        """The pids of the running leaders, by instance name."""
        found: dict[str, list[int]] = {}
        for pid, leader in self._running.items():
            found.setdefault(leader.ref.name, []).append(pid)
        return found

    def busy(self, process: str) -> Mapping[str, float]:
        """The summed seconds for which requests have been in flight, by instance name."""
        found: dict[str, float] = {}
        for leader in self._running.values():
            name = leader.ref.name
            if leader.board and process_of(name) == process:
                with suppress(OSError):
                    found[name] = found.get(name, 0.0) + board.busy_seconds(leader.board)
        return found

    @property
    def groups(self) -> set[int]:
        """The process groups of all lives that may have processes left."""
        return self._running.keys() | self._exited.keys()

    def folder(self, ref: Ref) -> str:
        """The folder in which the life was started."""
        leader = self._known.get(ref)
        return (leader and leader.program.context.folder) or os.getcwd()

    def members(self, ref: Ref) -> Sequence[tuple[str, int]]:
        leader = self._known.get(ref)
        if leader is None or not self._has_group(leader):
            return []
        return groups.members(leader.pid)

    @property
    def killed_groups(self) -> Mapping[int, float]:
        """Process groups that may have survived SIGKILL, and when it was first sent to each."""
        leaders = [*self._running.values(), *self._exited.values()]
        return {one.pid: one.killed for one in leaders if one.killed is not None}

    # ---- events ----

    def read_notifications(self) -> None:
        """Read what lives have reported, while each sender can still be identified."""
        for leader in self._running.values():
            self._read_notifications(leader)

    def reaped(self, pid: int, status: ExitStatus) -> Optional[Ref]:
        """Record the exit of a leader; None if the process is not a leader."""
        leader = self._running.pop(pid, None)
        if leader is None:
            return None
        self.listen()
        self._read_notifications(leader)
        self._close_notify_socket(leader)
        if leader.board:
            with suppress(FileNotFoundError):  # Its folder has been removed.
                os.unlink(leader.board)
        self._log.read_last_words(leader.pipes.streams)
        self._exited[pid] = leader
        out_of_memory = self._oom_kills.explains(status, self._loop.clock.now())
        self._loop.emit(Exited(leader.ref, status, out_of_memory, _random()))
        return leader.ref

    def sweep(self) -> None:
        """Emit `GroupGone` for each exited leader whose process group is empty."""
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
        """Forget lives that are gone. Call it once their `GroupGone` events are handled."""
        for leader in self._gone:
            del self._known[leader.ref]
        self._gone.clear()

    # ---- shutdown ----

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
        """SIGKILL all running lives; return the pids of their leaders."""
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

    # ---- internals ----

    def _create(self, ref: Ref) -> Leader:
        """Create what a life needs before it starts. Leaves no pipe open if it raises OSError."""
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
        wiring = Wiring(pipes.stdout, pipes.stderr, mark, environ, sockets)
        begun = partial(self._begun, leader)
        leader.birth = Birth(program, wiring, begun, ref.generation)
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
        """Search its output for the line that signals readiness."""
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
        # The pid of a leader that is gone may have been reused.
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
                os.kill(leader.pid, signal)  # Just forked: it has no process group of its own yet.
            else:
                self.sweep()

    def _open_notify_socket(self) -> NotifySocket:
        if self._folder is None:
            with suppress(OSError):  # No folder can be created for it.
                self._folder = SocketFolder()
        return NotifySocket(self._folder)

    def _create_board(self) -> str:
        """Create a board; return its path, or "" if it cannot be created."""
        with suppress(OSError):
            self._folder = self._folder or SocketFolder()
            path = self._folder.new_path()
            board.create(path)
            return path
        return ""

    def _close_notify_socket(self, leader: Leader) -> None:
        # Its callback may still be called in this turn of the loop.
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
    """A random number from 0 to 1."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
