"""Clients: the connections to a listener of the supervisor itself, and their time limits.

All of it runs in the supervisor's loop, and never blocks.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Iterator
from functools import partial

from django_prodserver.control.requests import Refused
from django_prodserver.posix.loop import Loop
from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import Operator
from django_prodserver.supervisor.hints import Callable, Optional, Union
from django_prodserver.supervisor.record import Record

from .connection import Connection, HttpRequest
from .credentials import peer

# The most clients connected at once; others wait to be accepted.
MOST_CLIENTS = 32
# In seconds: how long a client may take to send its request, and to read its answer.
CLIENT_TIMEOUT = 5.0
# In seconds: the pause before the next attempt to accept, after running out of file descriptors.
RETRY = 1.0

Asked = Union[HttpRequest, Refused]

# What `next` returns when no step is left.
_END = object()


class Client:
    """A client that is connected, and sends one request."""

    def __init__(self, connection: Connection, operator: Operator, deadline: float) -> None:
        self.connection = connection
        self.operator = operator
        # When it is disconnected, or, if it waits for something to happen, when `late` is called.
        self.deadline: Optional[float] = deadline
        self.late: Optional[Callable[[], None]] = None
        # Called when more of its answer can be sent, and when it has disconnected.
        self.feed: Optional[Callable[[], None]] = None
        self.left: Callable[[], object] = lambda: None
        # It stays connected until it disconnects by itself.
        self.follows = False
        # The events registered with the selector.
        self.events = 0


class Clients:
    """All clients of one listener; `take` is called with each client and its request."""

    def __init__(
        self,
        listener: socket.socket,
        loop: Loop,
        take: Callable[[Client, Asked], None],
        say: Callable[[Record], None],
    ) -> None:
        self._listener = listener
        self._loop = loop
        self._take = take
        self._say = say
        # In the order of their arrival; a dict, because sets have no order.
        self._clients: dict[Client, None] = {}
        self._accepting = False
        self._retry_at: Optional[float] = None
        self._accept_again()

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._clients))

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` has something to do."""
        moments = [client.deadline for client in self._clients]
        return min((at for at in (*moments, self._retry_at) if at is not None), default=None)

    def tick(self) -> None:
        """Do what is due."""
        now = self._loop.clock.now()
        for client in self:
            if client.deadline is not None and client.deadline <= now:
                self._expire(client)
        if self._retry_at is not None and self._retry_at <= now:
            self._accept_again()

    def extend_deadline(self, client: Client) -> None:
        """Restart the time limit of a client."""
        client.deadline = self._loop.clock.now() + CLIENT_TIMEOUT

    def guarded(self, client: Client, serve: Callable[[], None]) -> None:
        """Serve a client: an error disconnects this client, and never stops the supervisor."""
        if client not in self._clients:
            return
        try:
            serve()
            self._watch(client)
        except Exception as error:
            self._say(report.control_failed(f"{type(error).__name__}: {error}"))
            if client in self._clients:
                self._leave(client)

    def work(self, client: Client, steps: Iterator[object]) -> None:
        """Take these steps for a client as long as it is connected, between other work."""
        self._loop.work(self._guarded_steps(client, steps))

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        for client in self._clients:
            client.connection.close()

    def close(self) -> None:
        """Disconnect all clients, after sending what their sockets take at once."""
        for client in self:
            # Earlier output may still be waiting for its turn in the poll.
            client.connection.write()
            if client.feed is not None and not client.connection.pending:
                self.guarded(client, client.feed)
        for client in self:
            client.connection.write()
            self._leave(client)
        self._accept_no_more()

    # ---- how ----

    def _guarded_steps(self, client: Client, steps: Iterator[object]) -> Iterator[None]:
        left = True

        def step() -> None:
            nonlocal left
            left = next(steps, _END) is not _END

        while left and client in self._clients:
            self.guarded(client, step)
            yield

    def _accept_again(self) -> None:
        if not self._accepting and len(self._clients) < MOST_CLIENTS:
            self._retry_at = None
            self._accepting = True
            self._loop.selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _accept_no_more(self) -> None:
        if self._accepting:
            self._accepting = False
            self._loop.selector.unregister(self._listener)

    def _accept(self) -> None:
        if not self._accepting:
            return
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:
            # Out of file descriptors: others may be closed meanwhile.
            self._accept_no_more()
            self._retry_at = self._loop.clock.now() + RETRY
            return
        try:
            found = peer(accepted) if accepted.family == socket.AF_UNIX else None
            connection = Connection(accepted)
        except (OSError, ImportError) as error:
            # A module cannot be imported any more: its file is gone, or no descriptor is left.
            accepted.close()
            self._say(report.control_failed(str(error)))
            return
        uid, pid = (os.geteuid(), 0) if found is None else found
        client = Client(connection, Operator(uid, pid), self._loop.clock.now() + CLIENT_TIMEOUT)
        self._clients[client] = None
        if len(self._clients) >= MOST_CLIENTS:
            self._accept_no_more()
        self.guarded(client, lambda: None)

    def _watch(self, client: Client) -> None:
        """Poll for what its connection needs, or disconnect it once that is over."""
        connection = client.connection
        if connection.over:
            self._leave(client)
            return
        events = selectors.EVENT_READ if connection.reads else 0
        events |= selectors.EVENT_WRITE if connection.pending else 0
        if events == client.events:
            return
        selector, ready = self._loop.selector, partial(self._ready, client)
        if not client.events:
            selector.register(connection.socket, events, ready)
        elif not events:
            selector.unregister(connection.socket)
        else:
            selector.modify(connection.socket, events, ready)
        client.events = events

    def _ready(self, client: Client) -> None:
        # It may have disconnected in the same round of the poll: `guarded` checks that.
        self.guarded(client, partial(self._go_on, client))

    def _go_on(self, client: Client) -> None:
        connection = client.connection
        if connection.reads:
            asked = connection.read()
            if asked is not None:
                self.extend_deadline(client)
                self._take(client, asked)
            if connection.read_all and client.follows:
                # Even if it still reads: only the next line, perhaps long from now, would show
                # that it does not.
                connection.gone = True
        if connection.pending:
            connection.write()
        if client.feed is not None and not connection.pending and not connection.over:
            client.feed()

    def _leave(self, client: Client) -> None:
        if client.events:
            self._loop.selector.unregister(client.connection.socket)
        client.connection.close()
        del self._clients[client]
        client.left()
        # These refer to the client: the cycle would keep it in memory until a collection.
        client.late = client.feed = None
        client.left = lambda: None
        if self._retry_at is None:
            self._accept_again()

    def _expire(self, client: Client) -> None:
        if client.late is not None:
            self.guarded(client, client.late)
        else:
            self._leave(client)
