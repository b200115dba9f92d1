"""Drain: what a server does at its stop signal, so that no request is lost.

It stops accepting and closes its listening sockets; other processes may go on listening there. Each
response from then on says `Connection: close`. A client may already be sending a request, on a
connection that was just accepted or kept alive. So the server serves until all connections are
closed, or until LINGER seconds after the last request. Only then does the software's own shutdown
begin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Callable, NamedTuple, Optional

from . import in_flight

CLOSE = (b"connection", b"close")
# The close code of WebSockets: "service restart" (the registry of RFC 6455, section 11.7).
SERVICE_RESTART = 1012
# In seconds: how long connections stay open once no request is in progress. Within that time,
# clients that keep connections alive send the next request, or notice that it was closed.
LINGER = 2.0
# In seconds: the pause between two checks of the connections.
PAUSE = 0.02
# Turns of the event loop after which a connection that accept(2) returned has its protocol.
TURNS = 10


class Open(NamedTuple):
    """The connections that a server has to drain, without those upgraded to WebSockets."""

    connections: int
    # How many have a request in progress.
    busy: int


class Drain:
    """Decides when a drain is over.

    It is over once no connection is left, LINGER seconds after the last request was in progress, or
    after `limit` seconds, if there is a limit. Meanwhile it reports how many requests are in
    progress, except in one of several worker processes.
    """

    def __init__(self, now: float, limit: Optional[float] = None) -> None:
        self._began = now
        self._limit = limit
        self._busy = now
        self._requests = 0
        self._reporter = in_flight.Reporter("request", lambda: in_flight.Count(self._requests))

    def is_over(self, now: float, current: Open) -> bool:
        self._requests = current.busy
        if in_flight.is_leader():
            self._reporter.report()
        if current.busy:
            self._busy = now
        lingered = now - self._busy >= LINGER
        return not current.connections or lingered or self.left(now) == 0.0

    def left(self, now: float) -> Optional[float]:
        """How many seconds of the limit are left."""
        return None if self._limit is None else max(0.0, self._limit - (now - self._began))


async def stop_accepting(servers: Iterable[Any]) -> None:
    """Close servers of asyncio or uvloop without losing connections that they are accepting.

    Between accept(2) and the transport, an asyncio connection belongs to a task, which fails if its
    server has been closed meanwhile (CPython 3.7 to 3.13).
    """
    loop = asyncio.get_running_loop()
    servers = list(servers)
    for server in servers:
        for listener in server.sockets or ():
            # uvloop creates the transport at once, and lets no other code watch its descriptors.
            with suppress(RuntimeError, NotImplementedError):
                loop.remove_reader(listener.fileno())
    for _ in range(TURNS):
        await asyncio.sleep(0)
    for server in servers:
        server.close()


async def drained(
    current: Callable[[], Open],
    limit: Optional[float],
    forced: Callable[[], bool] = lambda: False,
) -> Optional[float]:
    """Wait until a drain is over, or `forced`; return the seconds left of the limit."""
    loop = asyncio.get_running_loop()
    drain = Drain(loop.time(), limit)
    while not drain.is_over(loop.time(), current()) and not forced():
        await asyncio.sleep(PAUSE)
    return drain.left(loop.time())
