"""MONITOR: a listener for monitoring from elsewhere, with a few read-only routes."""

from __future__ import annotations

import socket

from django_prodserver.control.requests import Refused
from django_prodserver.control.routes import monitored
from django_prodserver.posix.address import Listener, bound, close_all
from django_prodserver.posix.loop import Loop
from django_prodserver.supervisor.hints import Optional, Union

from .answers import ANSWERS, Known, refuse
from .clients import Client, Clients
from .connection import HttpRequest


class Monitor:
    """Answers all clients of one address, which may have several sockets."""

    def __init__(self, listener: Listener, loop: Loop, known: Known) -> None:
        """Raises OSError if it cannot listen."""
        self.listener = listener
        self._known = known
        self._sockets = bound(listener.bindings)
        try:
            for one in self._sockets:
                one.setblocking(False)
                one.listen(listener.backlog)
        except OSError:
            close_all(self._sockets)
            raise
        self._all = [self._clients(one, loop) for one in self._sockets]

    def _clients(self, listening: socket.socket, loop: Loop) -> Clients:
        clients: Clients

        def take(client: Client, request: Union[HttpRequest, Refused]) -> None:
            if isinstance(request, Refused):
                refuse(client, request)
                return
            found = monitored(request.method, request.path)
            if isinstance(found, Refused):
                refuse(client, found)
            else:
                ANSWERS[found.name](self._known, clients, client, request)

        clients = Clients(listening, loop, take, self._known.say)
        return clients

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` has something to do."""
        moments = [clients.deadline for clients in self._all]
        return min((at for at in moments if at is not None), default=None)

    def tick(self) -> None:
        """Do what is due; to be called before each poll."""
        for clients in self._all:
            clients.tick()

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        close_all(self._sockets)
        for clients in self._all:
            clients.release()

    def close(self) -> None:
        """Disconnect all clients, and stop listening."""
        for clients in self._all:
            clients.close()
        close_all(self._sockets)
