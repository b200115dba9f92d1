"""Held sockets: the supervisor binds the addresses of a process, and each life of it inherits them.

So its instances share them, and what connects while one is replaced waits for the next. They are
open before anything starts, until no instance of the process is to be up. Then what has connected
is accepted first (see `Closing`).
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

# In seconds. Two looks at an accept queue are as far apart as a server takes to accept, and three
# that find it empty are enough; a server that does not accept any more is not waited for.
LOOK_EVERY, LOOKS = 0.005, 3
ACCEPT_WITHIN = 1.0


class CannotListen(Exception):
    """One of its addresses cannot be bound."""

    def __init__(self, process: str, listener: Listener, error: OSError) -> None:
        self.process = process
        self.address = listener.name
        self.error = error
        super().__init__(f"cannot listen at {listener.name}: {error.strerror or error}")


class Passed(Value):
    """A listening socket that the service manager has passed to the supervisor."""

    fd: int
    # As its unit calls it: FileDescriptorName= of systemd.socket(5), or the unit.
    name: str
    # What it is bound to: a path, or a host, a port and what IPv6 adds to them.
    family: int
    address: Any

    def __str__(self) -> str:
        if not isinstance(self.address, tuple):
            return str(self.address)
        host, port, *_ = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def is_for(self, process: str, at: Union[tuple[str, int], str]) -> bool:
        """Whether the process is to have it: by its name, or by what it wants to listen at."""
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
    """Those that this process was started with, see sd_listen_fds(3)."""
    names = os.environ.get(NAMES, "").split(":")
    found = []
    for number, fd in enumerate(passed_to(os.getpid())):
        with suppress(OSError), socket.socket(fileno=os.dup(fd)) as one:
            if one.type == socket.SOCK_STREAM:
                name = names[number] if number < len(names) else ""
                found.append(Passed(fd, name, one.family, one.getsockname()))
    return found


class Bound:
    """The sockets of one address, all of which listen."""

    def __init__(self, backlog: int) -> None:
        self.sockets: list[socket.socket] = []
        # They came from the service manager, which goes on to hold them.
        self.foreign = False
        # The processes that have them, each with the generation that says so.
        self.users: set[tuple[str, int]] = set()
        self._backlog = backlog
        # Its file, with what tells that from another one at the same path.
        self._file: Optional[tuple[str, tuple[int, int]]] = None

    def add(self, made: Sequence[socket.socket], path: str = "") -> None:
        """Let them listen. Raises OSError."""
        self.sockets += made
        if path:
            self._file = path, _identity(path)
        for one in made:
            one.setblocking(False)
            if one.family in (socket.AF_INET, socket.AF_INET6):
                # What is accepted inherits it. Some servers cannot set it on a socket that they
                # are given, and each answer on a kept connection would take 40 ms longer.
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.listen()

    def listen(self) -> None:
        for one in self.sockets:
            one.listen(self._backlog)

    def unlink(self) -> None:
        """Remove the file, unless another program has put its own in its place."""
        if self._file is not None:
            path, identity = self._file
            with suppress(OSError):
                if _identity(path) == identity:
                    os.unlink(path)
        self._file = None

    def close(self) -> None:
        close_all(self.sockets)


class Closing:
    """Sockets of a process that is about to stop: the connections in their queues come first.

    The kernel refuses or drops what connects from now on. What has connected already would be
    reset when the last server closes its copy. So they are looked at again and again, and what asks
    the lives to stop waits until the queues are empty, or ACCEPT_WITHIN is over.
    """

    def __init__(self, bound: Sequence[Bound], now: float) -> None:
        self._bound = bound
        self._end = now + ACCEPT_WITHIN
        self._empty = 0
        self.next_look = now
        # What is to be done afterwards.
        self.then: list[Callable[[], object]] = []
        for one in bound:
            one.unlink()
        ours = [each for one in bound if not one.foreign for each in one.sockets]
        self._looked_at = list(filter(_refuses_connections, ours))

    def look(self, now: float) -> bool:
        """Whether it is over."""
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


# What is bound: the addresses of a host and port, a path, or what the service manager has named.
_Key = Union[str, tuple[Binding, ...], tuple[str, str]]


class HeldSockets:
    """Those of all processes.

    `given` came from the service manager: it is taken for what is bound to the same address, and
    all that has the name of a process for that. During a reload a process may have other addresses
    in one generation than in the other; those that both have are bound once.
    """

    def __init__(self, clock: Clock, given: Sequence[Passed] = ()) -> None:
        self._clock = clock
        self._given = given
        for one in given:
            os.set_inheritable(one.fd, False)
        self._bound: dict[_Key, Bound] = {}
        # By the process and the generation, in the order of its addresses.
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
        """Have the backlogs that were asked for: a server that starts sets its own (listen(2))."""
        for (name, _), every in self._open.items():
            if name == process:
                for one in every:
                    one.listen()

    def unused(self, programs: Iterable[Program]) -> list[Passed]:
        """What the service manager has passed, and nobody takes."""
        taken = [one for program in programs for one in self._given if _is_for(program, one)]
        return [one for one in self._given if one not in taken]

    # ---- to close ----

    def unlisten(self, process: str) -> None:
        """Take no more connections; close them once those that were made are accepted."""
        unused = self._let_go([user for user in self._open if user[0] == process])
        if unused:
            self._finish(process)
            self._closing[process] = Closing(unused, self._clock.now())
            self.tick()

    def forget(self, generation: int) -> None:
        """Close what only this generation has."""
        for one in self._let_go([user for user in self._open if user[1] == generation]):
            one.unlink()
            one.close()

    def afterwards(self, process: str, do: Callable[[], object]) -> bool:
        """Have it done once its sockets are closed; False if they are not about to be."""
        closing = self._closing.get(process)
        if closing is not None:
            closing.then.append(do)
        return closing is not None

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` has something to do, in the clock of the loop."""
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
                for one in self._let_go_of(found, user):
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

    def _let_go(self, users: Iterable[tuple[str, int]]) -> list[Bound]:
        """Of what these have, that which nobody has any more."""
        return [one for user in users for one in self._let_go_of(self._open.pop(user), user)]

    def _let_go_of(self, some: Iterable[Bound], user: tuple[str, int]) -> list[Bound]:
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
    """Let the kernel take no more of them; False where it cannot be asked to.

    A Unix socket has lost its file by now, so that nobody finds it.
    """
    return listening.family == socket.AF_UNIX or kernel.drop_connections(listening)
