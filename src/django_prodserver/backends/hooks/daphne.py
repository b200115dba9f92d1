"""daphne's command line with our hooks; imports daphne, and installs Twisted's reactor."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from typing import Any

# What this process was forked from may have a reactor: "daphne" in INSTALLED_APPS installs one. Its
# event loop has an epoll object that all who were forked share, so that each needs one of its own.
# The old one is kept: when it is collected it takes leave of that object, for all of them.
_REACTOR = ("daphne.cli", "daphne.server", "twisted.internet.reactor")
_inherited = [sys.modules.pop(name, None) for name in _REACTOR]

import daphne.cli  # noqa: E402
import daphne.http_protocol  # noqa: E402
import daphne.server  # noqa: E402
from twisted.internet import defer, task  # noqa: E402
from twisted.internet import reactor as installed  # noqa: E402

from django_prodserver.posix import notify  # noqa: E402

reactor: Any = installed
# How often it looks whether responses have left, in seconds: nothing tells.
_LOOK = 0.05


def main(args: Sequence[str], limit: float) -> None:
    """Run it as its command line does; when asked to stop, finish requests for so many seconds."""

    class LimitedServer(Server):
        graceful_timeout = limit

    command_line = daphne.cli.CommandLineInterface()
    command_line.server_class = LimitedServer
    command_line.parser.prog = "daphne"
    command_line.run(list(args))


class Server(daphne.server.Server):  # type: ignore[misc]
    """daphne's server, which of itself cancels requests in hand as soon as it is asked to stop."""

    graceful_timeout: float
    connections: dict[Any, dict[str, Any]]

    def __init__(self, **options: Any) -> None:
        super().__init__(ready_callable=self._announce, **options)
        self._ports: list[Any] = []
        self._stopping = False

    def _announce(self) -> None:
        # All of them have listened, or failed, when the reactor runs; some kinds take their time.
        listening = defer.DeferredList(self.listeners)
        listening.addCallback(lambda _: reactor.callWhenRunning(notify.notify))

    def listen_success(self, port: Any) -> None:
        self._ports.append(port)
        super().listen_success(port)

    def create_application(self, protocol: Any, scope: Any) -> Any:
        if self._stopping:
            _serve_for_the_last_time(protocol)
        return super().create_application(protocol, scope)

    @defer.inlineCallbacks
    def kill_all_applications(self) -> Generator[defer.Deferred[Any], Any, None]:
        """Called before the reactor stops: finish requests in hand first, WebSockets not."""
        self._stopping = True
        for port in self._ports:
            yield defer.maybeDeferred(port.stopListening)
        for protocol in self._requests():
            _serve_for_the_last_time(protocol)
        deadline = reactor.seconds() + self.graceful_timeout
        while self._in_hand() and reactor.seconds() < deadline:
            yield task.deferLater(reactor, _LOOK)
        # daphne expects an application of each, which a request that still arrives has not.
        self.connections = {
            protocol: details
            for protocol, details in self.connections.items()
            if "application_instance" in details
        }
        yield super().kill_all_applications()

    def _in_hand(self) -> bool:
        running = (details["application_instance"] for details in self._requests().values())
        # What is written is not yet sent.
        return any(not one.done() for one in running) or bool(reactor.getWriters())

    def _requests(self) -> dict[Any, dict[str, Any]]:
        """Those by HTTP that have reached the application."""
        return {
            protocol: details
            for protocol, details in self.connections.items()
            if isinstance(protocol, daphne.http_protocol.WebRequest)
            and "application_instance" in details
        }


def _serve_for_the_last_time(protocol: Any) -> None:
    """Close the connection after this response, in place of waiting for another request."""
    if getattr(protocol, "channel", None) is not None:
        protocol.channel.persistent = False
