"""daphne's server with our hooks; imports daphne and installs Twisted's reactor."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from typing import Any

# "daphne" in INSTALLED_APPS installs a reactor in the parent of this process. All processes forked
# from there share its epoll object, so each one installs a reactor of its own. The old one has to
# stay referenced: when it is garbage-collected, it unregisters from the epoll object for all.
_REACTOR = ("daphne.cli", "daphne.server", "twisted.internet.reactor")
_inherited = [sys.modules.pop(name, None) for name in _REACTOR]

import daphne.cli  # noqa: E402
import daphne.http_protocol  # noqa: E402
import daphne.server  # noqa: E402
from twisted.internet import defer, task  # noqa: E402
from twisted.internet import reactor as installed  # noqa: E402

from django_prodserver.posix import notify  # noqa: E402

reactor: Any = installed
# How often to check whether all responses have been sent, in seconds: there is no callback.
_CHECK = 0.05


def run(args: Sequence[str], limit: float) -> None:
    """Run `daphne` with these arguments; in-flight requests get `limit` seconds after a stop."""

    class LimitedServer(Server):
        graceful_timeout = limit

    command_line = daphne.cli.CommandLineInterface()
    command_line.server_class = LimitedServer
    command_line.parser.prog = "daphne"
    command_line.run(list(args))


class Server(daphne.server.Server):  # type: ignore[misc]
    """daphne's server, except that it finishes in-flight requests when it stops.

    Without this it cancels them at once.
    """

    graceful_timeout: float
    connections: dict[Any, dict[str, Any]]

    def __init__(self, **options: Any) -> None:
        super().__init__(ready_callable=self._announce, **options)
        self._ports: list[Any] = []
        self._stopping = False

    def _announce(self) -> None:
        # Some kinds of endpoints take a moment to listen. When the reactor runs, all have
        # succeeded or failed.
        listening = defer.DeferredList(self.listeners)
        listening.addCallback(lambda _: reactor.callWhenRunning(notify.notify))

    def listen_success(self, port: Any) -> None:
        self._ports.append(port)
        super().listen_success(port)

    def create_application(self, protocol: Any, scope: Any) -> Any:
        if self._stopping:
            _close_after_response(protocol)
        return super().create_application(protocol, scope)

    @defer.inlineCallbacks
    def kill_all_applications(self) -> Generator[defer.Deferred[Any], Any, None]:
        """Called before the reactor stops: finish in-flight requests, but not WebSockets."""
        self._stopping = True
        for port in self._ports:
            yield defer.maybeDeferred(port.stopListening)
        for protocol in self._requests():
            _close_after_response(protocol)
        deadline = reactor.seconds() + self.graceful_timeout
        while self._in_flight() and reactor.seconds() < deadline:
            yield task.deferLater(reactor, _CHECK)
        # daphne expects an application for each, which a request that has only just arrived lacks.
        self.connections = {
            protocol: details
            for protocol, details in self.connections.items()
            if "application_instance" in details
        }
        yield super().kill_all_applications()

    def _in_flight(self) -> bool:
        running = (details["application_instance"] for details in self._requests().values())
        # A response may be written and not yet sent.
        return any(not one.done() for one in running) or bool(reactor.getWriters())

    def _requests(self) -> dict[Any, dict[str, Any]]:
        """The HTTP requests that have reached the application."""
        return {
            protocol: details
            for protocol, details in self.connections.items()
            if isinstance(protocol, daphne.http_protocol.WebRequest)
            and "application_instance" in details
        }


def _close_after_response(protocol: Any) -> None:
    """Close the connection after this response instead of waiting for another request."""
    if getattr(protocol, "channel", None) is not None:
        protocol.channel.persistent = False
