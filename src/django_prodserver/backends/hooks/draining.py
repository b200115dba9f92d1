"""Drain: what a server does at its stop signal, so that no request is lost.

It accepts nothing more, and closes its listening sockets: others may go on to listen there. Each
response from then on says `Connection: close`. Clients may be sending a request already, on a
connection that was just accepted or kept alive, so it serves until its connections are gone, and
a little longer than it has requests to answer. Only then its own shutdown begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Callable, NamedTuple, Optional

from . import in_flight

CLOSE = (b"connection", b"close")
# With which WebSockets are closed: "service restart" (the registry of RFC 6455, section 11.7).
SERVICE_RESTART = 1012
# In seconds: how long a connection without a request in progress is kept open. Clients that keep
# connections alive send the next request within that, or look whether it was closed.
LINGER = 2.0
# In seconds, between two looks at the connections.
PAUSE = 0.02
# Of the event loop, until a connection that accept(2) has returned has its protocol.
TURNS = 10


class Open(NamedTuple):
    """The connections that a server has to drain: not those that were upgraded to WebSockets."""

    connections: int
    # So many have a request in progress.
    busy: int


class Drain:
    """When a drain is over.

    That is once there is no connection, or LINGER seconds after the last request was in progress.
    It takes `limit` seconds at most, if there is a limit. Meanwhile it tells how many requests are
    in progress, unless this is only one of several processes that have some.
    """

    def __init__(self, now: float, limit: Optional[float] = None) -> None:
        self._began = now
        self._limit = limit
        self._busy = now
        self._requests = 0
        self._teller = in_flight.Teller("request", lambda: in_flight.Count(self._requests))

    def is_over(self, now: float, still: Open) -> bool:
        self._requests = still.busy
        if in_flight.is_leader():
            self._teller.tell()
        if still.busy:
            self._busy = now
        lingered = now - self._busy >= LINGER
        return not still.connections or lingered or self.left(now) == 0.0

    def left(self, now: float) -> Optional[float]:
        """How many seconds of the limit are left."""
        return None if self._limit is None else max(0.0, self._limit - (now - self._began))


async def stop_accepting(servers: Iterable[Any]) -> None:
    """Close servers of asyncio or uvloop, without losing what they are accepting.

    Between accept(2) and the transport, asyncio's connections belong to a task, which fails if its
    server has been closed meanwhile (CPython 3.7 to 3.13).
    """
    loop = asyncio.get_running_loop()
    servers = list(servers)
    for server in servers:
        for listener in server.sockets or ():
            # uvloop creates the transport at once, and does not let others watch its descriptors.
            with suppress(RuntimeError, NotImplementedError):
                loop.remove_reader(listener.fileno())
    for _ in range(TURNS):
        await asyncio.sleep(0)
    for server in servers:
        server.close()


async def drained(
    still: Callable[[], Open],
    limit: Optional[float],
    hurried: Callable[[], bool] = lambda: False,
) -> Optional[float]:
    """Wait until a drain is over, or `hurried`; return the seconds of the limit that are left."""
    loop = asyncio.get_running_loop()
    drain = Drain(loop.time(), limit)
    while not drain.is_over(loop.time(), still()) and not hurried():
        await asyncio.sleep(PAUSE)
    return drain.left(loop.time())
