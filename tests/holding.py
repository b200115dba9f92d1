"""What a supervisor does for one server: hold its sockets, and start and stop lives on them.

Each life is the backend's own program, as a supervisor spawns it. These tests are about the server,
so there is no supervisor and no Django in between.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Optional

import psutil
import pytest
from django.test import override_settings

import django_prodserver
from django_prodserver.backends import own_program
from django_prodserver.backends.base import BACKLOG, Address, BaseServerBackend
from django_prodserver.backends.hooks.draining import LINGER, SERVICE_RESTART
from django_prodserver.posix import notify
from django_prodserver.posix.address import bindings
from django_prodserver.supervisor.spec import Ref
from tests import load
from tests.load import PATIENCE, Client, Load, Place, Work, connected_to
from tests.running import MARK, NOT_PASSED_ON, gone

STOP_TIMEOUT = 25.0
# In seconds: how long the rest of a life's process group may take to end after its leader.
SWEEP = 1.0
# In seconds: far below the limit for requests, even on a busy machine.
SOON = LINGER + 6.0

# Moves the file descriptors to the numbers that a program expects, and execs that program.
PASS_ON = """
import os, sys
sys.path.insert(0, sys.argv[1])
from django_prodserver.posix import held
held.pass_on([int(number) for number in sys.argv[2].split()])
os.execv(sys.argv[3], sys.argv[3:])
"""


class Life:
    """One operating-system process of the server, and its process group."""

    def __init__(self, popen: subprocess.Popen[bytes], output: Path) -> None:
        self.popen = popen
        self.pid = popen.pid
        self._output = output

    @property
    def said(self) -> str:
        return self._output.read_text()

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def end(self) -> int:
        """Wait until it and its process group have ended; return its exit status."""
        status = self.popen.wait(PATIENCE)
        deadline = time.monotonic() + SWEEP
        while True:
            left = self._left()
            if not left:
                return status
            assert time.monotonic() < deadline, f"it left {left}:\n{self.said}"
            psutil.wait_procs(left, timeout=0.05)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()

    def _left(self) -> list[psutil.Process]:
        """The other processes of its group, except zombies, which other processes have to reap."""
        return [one for one in psutil.process_iter() if self._has(one) and not gone(one.pid)]

    def _has(self, one: psutil.Process) -> bool:
        try:
            return os.getpgid(one.pid) == self.pid
        except ProcessLookupError:
            return False


class Server:
    """One process of the settings: its backend, its addresses, and its lives.

    `how` is "held" for sockets that this class holds, "own" for sockets that the server binds
    itself, and "alone" for the same without a supervisor.
    """

    def __init__(
        self,
        backend: type[BaseServerBackend],
        args: Mapping[str, Any],
        folder: Path,
        how: str = "held",
        env: Mapping[str, str] = {},
        application: str = "",
        replicas: int = 1,
        **config: Any,
    ) -> None:
        defaults = {"ENV": dict(env), "STOP_TIMEOUT": STOP_TIMEOUT, "REPLICAS": 1}
        self.backend = backend(**{"ARGS": dict(args), **defaults, **config})
        self.backend.instance = None if how == "alone" else "web.1"
        self.sockets: list[socket.socket] = []
        self.lives: list[Life] = []
        self.places: list[Place] = []
        # The duration of each stop, in seconds, and the exit statuses.
        self.stops: list[float] = []
        self.statuses: set[int] = set()
        self._held = how == "held"
        self._application = application
        self._replicas = replicas
        self._folder = folder
        self._started = 0
        for address in self.backend.addresses():
            self._add(address)

    def __enter__(self) -> Server:
        try:
            for _ in range(self._replicas):
                self.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def start(self) -> Life:
        """Start one more life, and wait until it is ready."""
        wsgi, asgi = self._application or load.WSGI, self._application or load.ASGI
        with override_settings(WSGI_APPLICATION=wsgi, ASGI_APPLICATION=asgi):
            args = self.backend.prep_server_args()
        options, more = self.backend.parse(), self.backend.runner_arguments()
        argv = [sys.executable, *args]
        patched = self.backend.patched_by(options)
        program = own_program.command_line(self.backend.runner, args, more, argv, [], patched)
        fds = [one.fileno() for one in self.sockets]
        if self._held:
            package = str(Path(django_prodserver.__file__).parent.parent)
            numbers = " ".join(map(str, fds))
            program = [sys.executable, "-S", "-c", PASS_ON, package, numbers, *program]
        self._started += 1
        output = self._folder / f"life-{self._started}"
        reports = notify.NotifySocket()
        environ = {key: value for key, value in os.environ.items() if key not in NOT_PASSED_ON}
        environ = {**environ, **self.backend.env, MARK: str(self._folder)}
        environ[notify.VARIABLE] = reports.address
        if self.backend.instance:
            environ["PRODSERVER_INSTANCE"] = self.backend.instance
        with output.open("wb") as stream:
            popen = subprocess.Popen(
                program,
                env=environ,
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        life = Life(popen, output)
        self.lives.append(life)
        try:
            _wait_for_ready(life, reports)
        finally:
            reports.close()
        for one in self.sockets:
            # Servers call listen() with a shorter backlog, and the last call wins.
            one.listen(BACKLOG)
        return life

    def stop(self, life: Life) -> int:
        """Ask it to stop, and return its exit status."""
        self.ask_to_stop(life)
        return self.wait_for_end(life)

    def ask_to_stop(self, life: Life) -> None:
        self._asked = time.monotonic()
        life.signal(signal.Signals[self.backend.stop_signal])

    def wait_for_end(self, life: Life) -> int:
        status = life.end()
        self.lives.remove(life)
        self.stops.append(time.monotonic() - self._asked)
        self.statuses.add(status)
        return status

    def replace(self) -> Life:
        """Start a life, and stop the oldest one."""
        new = self.start()
        self.stop(self.lives[0])
        return new

    def _close(self) -> None:
        """Kill the lives that are left."""
        for life in self.lives:
            life.kill()
            print(life.said)
        for one in self.sockets:
            one.close()

    def said(self) -> str:
        """The output of all its lives."""
        files = sorted(self._folder.glob("life-*"), key=lambda path: path.stat().st_mtime)
        return "\n".join(path.read_text() for path in files)

    def _add(self, address: Address) -> None:
        if isinstance(address.at, str):
            self.places.append(address.at)
            if self._held:
                self._hold(socket.AF_UNIX, address.at)
            return
        for binding in bindings(*address.at, address.plain):
            self.places.append((str(binding.address[0]), int(str(binding.address[1]))))
            if self._held:
                self._hold(binding.family, binding.address)

    def _hold(self, family: int, at: Any) -> None:
        one = socket.socket(family, socket.SOCK_STREAM)
        self.sockets.append(one)
        if family != socket.AF_UNIX:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Without it, a server on an inherited socket takes 44 ms for a response.
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(at)
        one.listen(BACKLOG)


class WebSocket:
    """A connected client; needs the package wsproto."""

    def __init__(self, place: Place) -> None:
        events = pytest.importorskip("wsproto.events")
        wsproto = pytest.importorskip("wsproto")
        self._socket = connected_to(place)
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._events: Iterator[Any] = self._receive()
        self._closed: Any = None
        self._send(events.Request(host="localhost", target="/"))
        assert isinstance(next(self._events), events.AcceptConnection)

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def echo(self, text: str) -> str:
        message = pytest.importorskip("wsproto.events").TextMessage
        self._send(message(data=text))
        return str(next(self._events).data)

    def closed_with(self) -> Optional[int]:
        """The code with which the server closes it; None if it only ends the connection."""
        self._closed = next(self._events, None)
        return getattr(self._closed, "code", None)

    def agree(self) -> None:
        """Answer the server's close frame, as clients must."""
        self._send(self._closed.response())

    def _send(self, event: Any) -> None:
        self._socket.sendall(self._protocol.send(event))

    def _receive(self) -> Iterator[Any]:
        while True:
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                return
            if not data:
                return
            self._protocol.receive_data(data)
            yield from self._protocol.events()


@contextmanager
def serving(*args: Any, replicas: int = 1, **kwargs: Any) -> Iterator[Server]:
    """A `Server` with this many lives, which are stopped at the end and leave no process behind."""
    with Server(*args, replicas=replicas, **kwargs) as server:
        yield server
        for life in list(server.lives):
            server.stop(life)


def replaced_under_load(server: Server, times: int, between: int = 50, **clients: int) -> Load:
    """Replace its lives `times` times, with `between` responses in between; return the load."""
    with Load(server.places[0], **clients) as clients_of_it:
        clients_of_it.wait_for(between)
        for _ in range(times):
            server.replace()
            clients_of_it.wait_for(between)
    return clients_of_it


def serves_what_is_on_its_way(server: Server) -> None:
    """Stop its only life, which has bound its own sockets, and send requests while it stops.

    One connection has sent nothing yet, one was kept alive, and one has a request in flight. Each
    request is answered, and that response or the next one is the last of its connection.
    """
    (life,), place = server.lives, server.places[0]
    with ExitStack() as stack:
        new, kept, slow = clients = [stack.enter_context(Client(place)) for _ in range(3)]
        assert kept.ask()
        slow.send(Work(200, before=0.5))
        server.ask_to_stop(life)
        while not _refuses(place):
            """It has not heard the signal yet."""

        new.send()
        kept.send()
        for client in clients:
            if client.stays_open():  # Its headers were sent before the stop.
                assert not client.ask()
        answered = time.monotonic()
        server.wait_for_end(life)
    assert time.monotonic() - answered < LINGER


def ends_although_connections_are_idle(server: Server, within: float = SOON) -> None:
    """Stop its life while clients are silent: it must wait only briefly for their requests."""
    (life,), place = server.lives, server.places[0]
    with Client(place), Client(place) as kept:
        assert kept.ask()

        server.stop(life)

    assert server.stops[-1] < within


def closes_websockets(server: Server) -> None:
    """Stop its life: it must tell WebSocket clients to reconnect, and not wait for them."""
    (life,) = server.lives
    with WebSocket(server.places[0]) as websocket:
        assert websocket.echo("hello") == "hello"
        server.ask_to_stop(life)

        assert websocket.closed_with() == SERVICE_RESTART
        websocket.agree()
        server.wait_for_end(life)
    assert server.stops[-1] < SOON


def seconds_per_response(server: Server) -> list[float]:
    """Response times on a connection that is kept alive."""
    took = []
    with Client(server.places[0]) as client:
        for _ in range(20):
            began = time.perf_counter()
            client.ask()
            took.append(time.perf_counter() - began)
    return took


def _refuses(place: Place) -> bool:
    try:
        connected_to(place).close()
    except (ConnectionError, FileNotFoundError):
        return True
    return False


def _wait_for_ready(life: Life, reports: notify.NotifySocket) -> None:
    ref, deadline = Ref("web.1", 0, 1), time.monotonic() + PATIENCE
    while True:
        select.select([reports], [], [], 0.05)
        for heard in reports.receive(ref, life.pid):
            if getattr(heard, "ready", False):
                return
        assert life.popen.poll() is None, f"it ended before it was ready:\n{life.said}"
        assert time.monotonic() < deadline, f"it was never ready:\n{life.said}"
