"""Held sockets: the supervisor binds the addresses of a process, and its lives inherit the sockets.

All instances of the process share them, and clients that connect while an instance is replaced wait
for the next one. The sockets are open before anything starts, and until no instance of the process
has the goal "up". Then pending connections are accepted before the sockets close (see `Closing`).
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress

from django_prodserver.supervisor.hints import Any, Callable, Optional, Union
from django_prodserver.supervisor.spec import process_of
from django_prodserver.supervisor.values import Value

from . import kernel
from .address import Binding, Listener, bound, bound_at_path, close_all
from .clock import Clock
from .held import NAMES, passed_to
from .program import Program

# LOOK_EVERY seconds, about what a server takes to accept, lie between two looks at the accept
# queues. Once LOOKS consecutive ones find the queues empty, the sockets close. A server that
# accepts no more connections delays that by at most ACCEPT_WITHIN seconds.
LOOK_EVERY, LOOKS = 0.005, 3
ACCEPT_WITHIN = 1.0


class CannotListen(Exception):
    """An address of the process cannot be bound."""

    def __init__(self, process: str, listener: Listener, error: OSError) -> None:
        self.process = process
        self.address = listener.name
        self.error = error
        super().__init__(f"cannot listen at {listener.name}: {error.strerror or error}")


class Passed(Value):
    """A listening socket that the service manager has passed to the supervisor."""

    fd: int
    # Its name in the unit: FileDescriptorName= of systemd.socket(5), or the name of the unit.
    name: str
    # The bound address: a path, or a host and port, followed by flow info and scope ID for IPv6.
    family: int
    address: Any

    def __str__(self) -> str:
        if not isinstance(self.address, tuple):
            return str(self.address)
        host, port, *_ = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def is_for(self, process: str, at: Union[tuple[str, int], str]) -> bool:
        """Whether this socket is for the process: by its name, or by the address to listen at."""
        return self.has_name_of(process) or at in (self.address, tuple(self.address[:2]))

    def has_name_of(self, process: str) -> bool:
        return self.name in (process, f"{process}.socket")

    def is_at(self, listener: Listener) -> bool:
        if listener.path:
            return self.family == socket.AF_UNIX and self.address == listener.path
        return any(
            (self.family, self.address) == (binding.family, tuple(binding.address))
            for binding in listener.bindings
        )


def passed() -> list[Passed]:
    """The listening sockets that this process was started with, see sd_listen_fds(3)."""
    names = os.environ.get(NAMES, "").split(":")
    found = []
    for number, fd in enumerate(passed_to(os.getpid())):
        with suppress(OSError), socket.socket(fileno=os.dup(fd)) as one:
            if one.type == socket.SOCK_STREAM:
                name = names[number] if number < len(names) else ""
                found.append(Passed(fd, name, one.family, one.getsockname()))
    return found


class Bound:
    """The listening sockets of one address."""

    def __init__(self, backlog: int) -> None:
        self.sockets: list[socket.socket] = []
        # Whether they came from the service manager, which keeps them open.
        self.foreign = False
        # The processes that use them, each with the generation whose settings say so.
        self.users: set[tuple[str, int]] = set()
        self._backlog = backlog
        # The path of a Unix socket, and the identity of its file: another may appear at that path.
        self._file: Optional[tuple[str, tuple[int, int]]] = None

    def add(self, made: Sequence[socket.socket], path: str = "") -> None:
        """Add sockets, and listen. Raises OSError."""
        self.sockets += made
        if path:
            self._file = path, _identity(path)
        for one in made:
            one.setblocking(False)
            if one.family in (socket.AF_INET, socket.AF_INET6):
                # Accepted connections inherit it. Some servers cannot set it on an inherited
                # socket; each response on a keep-alive connection would take 40 ms longer.
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.listen()

    def listen(self) -> None:
        for one in self.sockets:
            one.listen(self._backlog)

    def unlink(self) -> None:
        """Remove the file, unless another program has replaced it."""
        if self._file is not None:
            path, identity = self._file
            with suppress(OSError):
                if _identity(path) == identity:
                    os.unlink(path)
        self._file = None

    def close(self) -> None:
        close_all(self.sockets)


class Closing:
    """The sockets of a process that is about to stop, while their accept queues are emptied.

    From now on the kernel refuses or drops new connections. A connection that is still in a queue
    would be reset when the last server closes its copy of the socket. So the queues are checked
    repeatedly, and stop signals wait until the queues are empty, or ACCEPT_WITHIN is over.
    """

    def __init__(self, bound: Sequence[Bound], now: float) -> None:
        self._bound = bound
        self._end = now + ACCEPT_WITHIN
        self._empty = 0
        self.next_look = now
        # To be called once the sockets are closed.
        self.then: list[Callable[[], object]] = []
        for one in bound:
            one.unlink()
        ours = [each for one in bound if not one.foreign for each in one.sockets]
        self._looked_at = list(filter(_refuses_connections, ours))

    def look(self, now: float) -> bool:
        """Check the queues; return whether the sockets can be closed."""
        waiting = self._looked_at and select.select(self._looked_at, [], [], 0)[0]
        self._empty = 0 if waiting else self._empty + 1
        self.next_look = now + LOOK_EVERY
        return not self._looked_at or self._empty >= LOOKS or now >= self._end

    def finish(self) -> None:
        self.close()
        for do in self.then:
            do()

    def close(self) -> None:
        for one in self._bound:
            one.close()


# Identifies what is bound: a path, the bindings of a host and port, or ("named", process) for the
# sockets that the service manager has named after a process.
_Key = Union[str, tuple[Binding, ...], tuple[str, str]]


class HeldSockets:
    """The held sockets of all processes.

    `given` are the sockets from the service manager. A process uses all those with its name; if
    there are none, it uses those that are bound to one of its addresses. During a reload, a process
    may have different addresses in two generations; an address that both have is bound once.
    """

    def __init__(self, clock: Clock, given: Sequence[Passed] = ()) -> None:
        self._clock = clock
        self._given = given
        for one in given:
            os.set_inheritable(one.fd, False)
        self._bound: dict[_Key, Bound] = {}
        # By process and generation, in the order of the addresses of the process.
        self._open: dict[tuple[str, int], list[Bound]] = {}
        self._closing: dict[str, Closing] = {}

    # ---- to listen ----

    def open(self, program: Program, generation: int) -> Sequence[int]:
        """The descriptors of a process, in the order of its addresses. Raises CannotListen."""
        user = process_of(program.name), generation
        if user not in self._open:
            self._finish(user[0])
            self._open[user] = self._bind(program, user)
        return [each.fileno() for one in self._open[user] for each in one.sockets]

    def listen_again(self, process: str) -> None:
        """Restore the configured backlogs: a server that starts sets its own (listen(2))."""
        for (name, _), every in self._open.items():
            if name == process:
                for one in every:
                    one.listen()

    def unused(self, programs: Iterable[Program]) -> list[Passed]:
        """The sockets from the service manager that no process uses."""
        taken = [one for program in programs for one in self._given if _is_for(program, one)]
        return [one for one in self._given if one not in taken]

    # ---- to close ----

    def unlisten(self, process: str) -> None:
        """Refuse new connections; close the sockets once pending connections are accepted."""
        unused = self._release_users([user for user in self._open if user[0] == process])
        if unused:
            self._finish(process)
            self._closing[process] = Closing(unused, self._clock.now())
            self.tick()

    def forget(self, generation: int) -> None:
        """Close the sockets that only this generation uses."""
        for one in self._release_users([user for user in self._open if user[1] == generation]):
            one.unlink()
            one.close()

    def call_once_closed(self, process: str, do: Callable[[], object]) -> bool:
        """Call `do` once the sockets of the process are closed; False if they are not closing."""
        closing = self._closing.get(process)
        if closing is not None:
            closing.then.append(do)
        return closing is not None

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` is due next, in the clock of the loop."""
        return min((one.next_look for one in self._closing.values()), default=None)

    def tick(self) -> None:
        now = self._clock.now()
        for process, closing in list(self._closing.items()):
            if closing.next_look <= now and closing.look(now):
                self._finish(process)

    # ---- the end ----

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        for one in self._bound.values():
            one.close()
        for closing in self._closing.values():
            closing.close()

    def close(self) -> None:
        for one in self._bound.values():
            one.unlink()
        self.release()

    # ---- how ----

    def _bind(self, program: Program, user: tuple[str, int]) -> list[Bound]:
        """Share what is bound already, and bind the rest. Raises CannotListen."""
        named = [one for one in self._given if one.has_name_of(user[0])]
        found: list[Bound] = []
        if named:
            backlog = max(listener.backlog for listener in program.listens)
            found.append(self._take(("named", user[0]), named, backlog, user))
            return found
        for listener in program.listens:
            try:
                found.append(self._bind_one(program, listener, user))
            except OSError as error:
                for one in self._release(found, user):
                    one.unlink()
                    one.close()
                raise CannotListen(user[0], listener, error) from None
        return found

    def _bind_one(self, program: Program, listener: Listener, user: tuple[str, int]) -> Bound:
        key = listener.path or tuple(listener.bindings)
        if key in self._bound:
            self._bound[key].users.add(user)
            return self._bound[key]
        fitting = [one for one in self._given if one.is_at(listener)]
        if fitting:
            return self._take(key, fitting, listener.backlog, user)
        made = Bound(listener.backlog)
        if listener.path:
            context = program.context
            owner = [-1 if one is None else one for one in (context.uid, context.gid)]
            mode = _mode(listener, program)
            made.add([bound_at_path(listener.path, mode, *owner)], listener.path)
        else:
            made.add(bound(listener.bindings))
        made.users.add(user)
        self._bound[key] = made
        return made

    def _take(
        self, key: _Key, given: Sequence[Passed], backlog: int, user: tuple[str, int]
    ) -> Bound:
        if key not in self._bound:
            made = self._bound[key] = Bound(backlog)
            made.foreign = True
            made.add([socket.socket(fileno=os.dup(one.fd)) for one in given])
        self._bound[key].users.add(user)
        return self._bound[key]

    def _release_users(self, users: Iterable[tuple[str, int]]) -> list[Bound]:
        """Remove these users; return the sockets that have no users left."""
        return [one for user in users for one in self._release(self._open.pop(user), user)]

    def _release(self, some: Iterable[Bound], user: tuple[str, int]) -> list[Bound]:
        unused = []
        for one in some:
            one.users.discard(user)
            if not one.users:
                unused.append(one)
        self._bound = {key: one for key, one in self._bound.items() if one not in unused}
        return unused

    def _finish(self, process: str) -> None:
        closing = self._closing.pop(process, None)
        if closing is not None:
            closing.finish()


def _is_for(program: Program, one: Passed) -> bool:
    named = one.has_name_of(program.name)
    return bool(program.listens) and (named or any(map(one.is_at, program.listens)))


def _mode(listener: Listener, program: Program) -> int:
    if listener.mode is not None:
        return listener.mode
    umask = program.context.umask
    if umask is None:
        umask = os.umask(0)
        os.umask(umask)
    return 0o777 & ~umask


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def _refuses_connections(listening: socket.socket) -> bool:
    """Make the kernel drop new connections; False where that is impossible.

    The file of a Unix socket is removed by now, so no client can find it.
    """
    return listening.family == socket.AF_UNIX or kernel.drop_connections(listening)
