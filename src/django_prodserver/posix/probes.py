"""Probes: whether an instance answers, asked without ever waiting for the answer.

Each is a few callbacks in the one poll. None has a time limit of its own: whoever started it
cancels it. What it finds out is a text: why it failed, or nothing.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from signal import SIGKILL
from typing import TYPE_CHECKING, Optional, Union

from django_prodserver import __version__
from django_prodserver.supervisor.model import ExitStatus

from . import groups
from .text import one_line

if TYPE_CHECKING:
    import h11

# Of a failure, in characters; it becomes part of a line of the log.
LONGEST = 200
# Of what a command prints the last so many bytes are kept: they hold its last line.
KEPT = 4096
# Read at once, in bytes.
CHUNK = 1 << 14

# A family and what connect(2) takes with it: a path for AF_UNIX.
SocketAddress = tuple[int, Union[str, tuple[object, ...]]]


@dataclass(frozen=True)
class TcpProbe:
    """Healthy once a connection to one of the addresses succeeds; they are tried in order."""

    # As the user wrote it: `localhost:8000`, or the path of a Unix socket.
    name: str
    addresses: Sequence[SocketAddress]


@dataclass(frozen=True)
class HttpProbe:
    """Healthy if a GET is answered with a status from 200 to 399; the body is not read."""

    # As in TcpProbe.
    name: str
    addresses: Sequence[SocketAddress]
    # For people: `http://localhost:8000/health?full=1`.
    url: str
    # `/health?full=1`
    target: str
    # What the Host header says: Django answers 400 to one that is not in its ALLOWED_HOSTS.
    host: str


@dataclass(frozen=True)
class CommandProbe:
    """Healthy if the command ends with status 0."""

    argv: Sequence[str]
    # Added to the supervisor's own environment.
    environ: Mapping[str, str] = field(default_factory=dict)


Target = Union[TcpProbe, HttpProbe, CommandProbe]


def resolve(at: Union[tuple[str, int], str]) -> tuple[SocketAddress, ...]:
    """Where to connect to for a host and port, or the path of a Unix socket.

    Asks nobody for a number of a host; for a name it may take long, so not to be called from the
    loop. A server that listens everywhere ("", 0.0.0.0, ::) is asked at the loopback. Raises
    OSError or UnicodeError where the name is not known.
    """
    if isinstance(at, str):
        return ((socket.AF_UNIX, at),)
    host, port = at
    host = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple((family, address) for family, _, _, _, address in found)


class Probes:
    """The probes that are under way, one for each instance at most, known by its pid."""

    def __init__(
        self,
        selector: selectors.PollSelector,
        execute: Callable[[CommandProbe, int], int],
        report: Callable[[int, str], None],
    ) -> None:
        """`execute` starts a command with a descriptor for its output and returns its pid, or
        raises OSError; `report` takes the pid of an instance and the failure."""
        self._selector = selector
        self._execute = execute
        self._report = report
        self._under_way: dict[int, _Probe] = {}
        # The pids of commands, those of cancelled probes too until they are reaped.
        self._commands: dict[int, Optional[_Command]] = {}
        # The process groups of commands that have been killed, until they are known to be empty.
        self.killed: set[int] = set()

    def start(self, pid: int, target: Target) -> None:
        """Begin, in place of what may be under way for this instance."""
        self.cancel(pid)
        if isinstance(target, CommandProbe):
            probe: _Probe = _Command(self._selector, self._execute, target)
        elif isinstance(target, HttpProbe):
            probe = _Http(self._selector, target)
        else:
            probe = _Tcp(self._selector, target.name, target.addresses)
        self._under_way[pid] = probe

        def finished(failure: str) -> None:
            del self._under_way[pid]
            self._report(pid, one_line(failure, LONGEST))

        probe.start(finished)
        if isinstance(probe, _Command) and probe.pid:
            self._commands[probe.pid] = probe

    def cancel(self, pid: int) -> None:
        """End it and say nothing; where none is under way there is nothing to do."""
        probe = self._under_way.pop(pid, None)
        if probe is None:
            return
        probe.close()
        if isinstance(probe, _Command):
            self._commands[probe.pid] = None

    def reaped(self, pid: int, status: ExitStatus) -> bool:
        """Take note of the end of a process; False if it was none of ours."""
        if pid not in self._commands:
            return False
        command = self._commands.pop(pid)
        if command is not None:
            command.ended(status)
        self.killed.add(pid)
        return True

    def sweep(self) -> None:
        """Forget the groups in which nobody is left; to be called when somebody was reaped."""
        self.killed -= {pid for pid in self.killed if groups.is_empty(pid)}

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        for probe in self._under_way.values():
            probe.release()

    def close(self) -> None:
        """End all; whoever is `killed` by that is still to be reaped."""
        for pid in list(self._under_way):
            self.cancel(pid)
        self.killed.update(self._commands)


class _Probe:
    """One probe: from `start` until `finish` says how it ended, or until it is closed."""

    def __init__(self, selector: selectors.PollSelector) -> None:
        self._selector = selector
        self._finished: Optional[Callable[[str], None]] = None
        self._watched: Optional[int] = None

    def start(self, finished: Callable[[str], None]) -> None:
        self._finished = finished
        self._begin()

    def finish(self, failure: str = "") -> None:
        finished = self._finished
        self.close()
        if finished is not None:
            finished(failure)

    def close(self) -> None:
        self._finished = None
        self._unwatch()
        self.release()

    def _watch(self, fd: int, event: int, callback: Callable[[], None]) -> None:
        self._unwatch()

        def call() -> None:
            # Events of one round of the poll come one after the other: it may be closed by now,
            # and its descriptor be another's.
            if self._finished is not None:
                callback()

        self._selector.register(fd, event, call)
        self._watched = fd

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._selector.unregister(self._watched)
            self._watched = None

    def _begin(self) -> None:
        raise NotImplementedError

    def release(self) -> None:
        """Close what is open."""
        raise NotImplementedError


class _Tcp(_Probe):
    def __init__(
        self, selector: selectors.PollSelector, name: str, addresses: Sequence[SocketAddress]
    ) -> None:
        super().__init__(selector)
        self._name = name
        self._left = list(addresses)
        self._socket: Optional[socket.socket] = None

    def _begin(self) -> None:
        if self._left:
            self._try(*self._left.pop(0))
        else:
            self.finish(f"{self._name} is no address to connect to")

    def _try(self, family: int, address: Union[str, tuple[object, ...]]) -> None:
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            code = self._socket.connect_ex(address)
        except OSError as error:
            code = error.errno or errno.EINVAL
        if code == errno.EINPROGRESS:
            assert self._socket is not None
            self._watch(self._socket.fileno(), selectors.EVENT_WRITE, self._answered)
        else:
            self._connect_ended(code)

    def _answered(self) -> None:
        assert self._socket is not None
        self._connect_ended(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _connect_ended(self, code: int) -> None:
        self._unwatch()
        if code == 0 and self._socket is not None:
            if not _to_itself(self._socket):
                self._connected(self._socket)
                return
            code = errno.ECONNREFUSED
        self.release()
        if self._left:
            self._begin()
        elif code == errno.ECONNREFUSED:
            self.finish(f"connection to {self._name} refused")
        else:
            self.finish(f"connection to {self._name} failed: {os.strerror(code)}")

    def _connected(self, connection: socket.socket) -> None:
        self.finish()

    def release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class _Http(_Tcp):
    def __init__(self, selector: selectors.PollSelector, target: HttpProbe) -> None:
        super().__init__(selector, target.name, target.addresses)
        self._target = target
        self._unsent = b""
        self._http: h11.Connection

    def _connected(self, connection: socket.socket) -> None:
        import h11  # Only where there is such a health check.

        self._http = h11.Connection(h11.CLIENT)
        headers = [
            ("Host", self._target.host),
            ("User-Agent", f"django-prodserver/{__version__}"),
            ("Accept", "*/*"),
            ("Connection", "close"),
        ]
        try:
            request = h11.Request(method="GET", target=self._target.target, headers=headers)
            self._unsent = self._http.send(request) or b""
        except (h11.LocalProtocolError, UnicodeError) as error:
            self.finish(f"{self._target.url} cannot be asked for: {error}")
            return
        self._http.send(h11.EndOfMessage())
        self._watch(connection.fileno(), selectors.EVENT_WRITE, self._send)

    def _send(self) -> None:
        assert self._socket is not None
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._closed()
            return
        if not self._unsent:
            self._watch(self._socket.fileno(), selectors.EVENT_READ, self._receive)

    def _receive(self) -> None:
        import h11

        assert self._socket is not None
        try:
            chunk = self._socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._closed()
            return
        try:
            self._http.receive_data(chunk)
            event = self._http.next_event()
            while isinstance(event, h11.InformationalResponse):
                event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            self.finish(f"the answer from {self._target.url} is no HTTP: {error}")
            return
        if isinstance(event, h11.Response):
            # The body is of no interest, however long it may be.
            if event.status_code < 400:
                self.finish()
            else:
                self.finish(f"HTTP {event.status_code} from {self._target.url}")
        # Else the head is not complete yet; h11 gives up on one that becomes too long.

    def _closed(self) -> None:
        self.finish(f"{self._target.url} closed the connection without an answer")


class _Command(_Probe):
    def __init__(
        self,
        selector: selectors.PollSelector,
        execute: Callable[[CommandProbe, int], int],
        target: CommandProbe,
    ) -> None:
        super().__init__(selector)
        self._execute = execute
        self._target = target
        self.pid = 0
        self._reaped = False
        self._output: Optional[int] = None
        self._said = b""

    def _begin(self) -> None:
        try:
            self._output, write = os.pipe()
            try:
                self.pid = self._execute(self._target, write)
            finally:
                os.close(write)
        except OSError as error:
            self.finish(f"the command cannot be started: {error.strerror}")
            return
        os.set_blocking(self._output, False)
        self._watch(self._output, selectors.EVENT_READ, self._read)

    def ended(self, status: ExitStatus) -> None:
        """It is dead and reaped."""
        self._read()
        self._reaped = True
        said = self._said.decode(errors="replace").rstrip().rpartition("\n")[2]
        failure = f"command {status}: {said}" if said else f"command {status}"
        self.finish("" if status.code == 0 else failure)

    def _read(self) -> None:
        if self._output is None:
            return
        chunk = b""
        with suppress(BlockingIOError):
            chunk = os.read(self._output, 1 << 16)
            if not chunk:  # It has closed its output, and may go on for long.
                self._unwatch()
        self._said = (self._said + chunk)[-KEPT:]

    def close(self) -> None:
        """Whatever is left of it, and of what it has started, is killed."""
        super().close()
        if self.pid:
            # PermissionError: it runs as another user by now.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, SIGKILL)
                return
            if not self._reaped:  # Forked this moment, it has no group of its own yet.
                with suppress(PermissionError):
                    os.kill(self.pid, SIGKILL)

    def release(self) -> None:
        if self._output is not None:
            os.close(self._output)
            self._output = None


def _to_itself(connection: socket.socket) -> bool:
    """Nobody listens, and the kernel chose the very port that was asked for: TCP allows that."""
    if connection.family == socket.AF_UNIX:
        return False
    try:
        return bool(connection.getsockname() == connection.getpeername())
    except OSError:
        return False  # It was reset already: somebody did listen.
