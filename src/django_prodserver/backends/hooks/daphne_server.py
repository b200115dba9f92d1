"""daphne's server with our hooks; imports daphne and installs Twisted's reactor."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

# "daphne" in INSTALLED_APPS installs a reactor in the parent of this process. All processes forked
# from there share its epoll object, so each installs a reactor of its own. The old one has to stay
# referenced: when it is garbage-collected, it unregisters from the epoll object for all processes.
_REACTOR = ("daphne.cli", "daphne.server", "twisted.internet.reactor")
_inherited = [sys.modules.pop(name, None) for name in _REACTOR]

import daphne.cli  # noqa: E402
import daphne.http_protocol  # noqa: E402
import daphne.server  # noqa: E402
import daphne.ws_protocol  # noqa: E402
from twisted.internet import defer, task, tcp, unix  # noqa: E402
from twisted.internet import reactor as installed  # noqa: E402

from django_prodserver.posix import held, notify  # noqa: E402

from .draining import CLOSE, PAUSE, Drain, Open  # noqa: E402

reactor: Any = installed
Port: Any = tcp.Port
UnixPort: Any = unix.Port
# The close code "service restart" for WebSockets (the registry of RFC 6455).
SERVICE_RESTART = 1012


def run(args: Sequence[str], limit: float) -> None:
    """Run `daphne` with these arguments; in-flight requests get `limit` seconds after a stop."""

    class LimitedServer(Server):
        graceful_timeout = limit

    command_line = daphne.cli.CommandLineInterface()
    command_line.server_class = LimitedServer
    command_line.parser.prog = "daphne"
    command_line.run(list(args))


class Server(daphne.server.Server):  # type: ignore[misc]
    """daphne's server, which serves on held sockets, and drains when it stops.

    daphne itself cancels all requests at once.
    """

    graceful_timeout: float
    connections: dict[Any, dict[str, Any]]

    def __init__(self, **options: Any) -> None:
        given = {f"fd:fileno={one.fileno()}": one for one in held.sockets()}
        if given:
            options["endpoints"] = [*given]
            daphne.server.serverFromString = partial(_Held, given)
        super().__init__(ready_callable=self._announce, **options)
        self._ports: list[Any] = []
        self._stopping = False

    def _announce(self) -> None:
        # Some kinds of endpoints take a moment to listen. Once the reactor runs, each has succeeded
        # or failed.
        listening = defer.DeferredList(self.listeners)
        listening.addCallback(lambda _: reactor.callWhenRunning(notify.notify))

    def listen_success(self, port: Any) -> None:
        self._ports.append(port)
        super().listen_success(port)

    async def handle_reply(self, protocol: Any, message: Any) -> None:
        if self._stopping and isinstance(protocol, daphne.http_protocol.WebRequest):
            _say_close(protocol)
        await super().handle_reply(protocol, message)

    @defer.inlineCallbacks
    def kill_all_applications(self) -> Generator[defer.Deferred[Any], Any, None]:
        """Called before the reactor stops: serve until no connection is left."""
        self._stopping = True
        for port in self._ports:
            yield defer.maybeDeferred(port.stopListening)
        for protocol in [*self.connections]:
            if isinstance(protocol, daphne.ws_protocol.WebSocketProtocol):
                with suppress(Exception):  # It is not open yet, or no longer.
                    protocol.sendCloseFrame(code=SERVICE_RESTART)
        drain = Drain(reactor.seconds(), self.graceful_timeout)
        while not drain.is_over(reactor.seconds(), self._still_open()):
            yield task.deferLater(reactor, PAUSE)
        # daphne expects each to have an application, which a request that has only just arrived
        # lacks.
        self.connections = {
            protocol: details
            for protocol, details in self.connections.items()
            if "application_instance" in details
        }
        yield super().kill_all_applications()

    def _still_open(self) -> Open:
        writers = reactor.getWriters()
        connections = {one for one in [*reactor.getReaders(), *writers] if _is_accepted(one)}
        # Written data may not have been sent yet.
        requests = sum(map(self._is_busy, self.connections))
        busy = requests or int(any(map(_is_accepted, writers)))
        return Open(len(connections) + busy, busy)

    def _is_busy(self, protocol: Any) -> bool:
        """Whether it is a request whose headers have arrived, without its complete response."""
        if not isinstance(protocol, daphne.http_protocol.WebRequest):
            return False
        gone = protocol.finished or "disconnected" in self.connections[protocol]
        return protocol.content is not None and not gone


def _is_accepted(selectable: Any) -> bool:
    """Whether it is a client's connection, of any kind."""
    return isinstance(selectable, tcp.Server)


def _say_close(request: Any) -> None:
    """Close the connection after this response, if the response can still announce it."""
    if request.channel is not None and not request.startedWriting and _is_http_1(request):
        request.responseHeaders.setRawHeaders(CLOSE[0], [CLOSE[1]])
        request.channel.persistent = False


def _is_http_1(request: Any) -> bool:
    return bool(request.clientproto.startswith(b"HTTP/1"))


class _Held:
    """The endpoint of a held socket. Twisted's own would remove the file of a Unix socket."""

    def __init__(self, given: Mapping[str, Any], reactor: Any, description: str) -> None:
        self._reactor = reactor
        self._socket = given[description]

    def listen(self, factory: Any) -> defer.Deferred[Any]:
        return defer.execute(self._listen, factory)

    def _listen(self, factory: Any) -> Any:
        # The port duplicates the descriptor.
        with self._socket as given:
            given.setblocking(False)
            if given.family.name != "AF_UNIX":
                return self._reactor.adoptStreamPort(given.fileno(), given.family, factory)
            port = _UnixPort._fromListeningDescriptor(self._reactor, given.fileno(), factory)
            port.startListening()
            return port


class _UnixPort(UnixPort):  # type: ignore[misc]
    """A Unix socket at which other processes go on listening: its file is kept."""

    _shouldShutdown = False
    _preexistingSocket: Any

    def startListening(self) -> None:
        self.socket, self._preexistingSocket = self._preexistingSocket, None
        self.fileno = self.socket.fileno
        self.factory.doStart()
        self.connected = True
        self.numberAccepts = 100
        self.startReading()

    def connectionLost(self, reason: Any) -> None:
        Port.connectionLost(self, reason)
