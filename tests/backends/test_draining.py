"""When a drain is over, and what asyncio would lose when it closes a server."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable
from contextlib import closing
from typing import Any, Callable

from django_prodserver.backends.hooks.draining import LINGER, Drain, Open, stop_accepting
from django_prodserver.posix.notify import NotifySocket
from django_prodserver.supervisor.events import Notified
from django_prodserver.supervisor.spec import Ref
from tests.running import not_measured

REF = Ref("web.1", 0, 1)
NONE = Open(0, busy=False)
IDLE = Open(1, busy=False)
BUSY = Open(1, busy=True)


def test_a_drain_is_over_once_no_connection_is_left() -> None:
    drain = Drain(100.0)

    assert not drain.is_over(100.0, IDLE)
    assert drain.is_over(100.0, NONE)


def test_a_drain_lingers_after_the_last_request() -> None:
    drain = Drain(100.0)

    assert not drain.is_over(150.0, BUSY)
    assert not drain.is_over(150.0 + LINGER - 0.01, IDLE)
    assert drain.is_over(150.0 + LINGER, IDLE)


def test_a_drain_lingers_even_without_a_request() -> None:
    drain = Drain(100.0)

    assert not drain.is_over(100.0 + LINGER - 0.01, IDLE)
    assert drain.is_over(100.0 + LINGER, IDLE)


def test_a_drain_ends_at_its_limit_even_with_a_request_in_progress() -> None:
    drain = Drain(100.0, limit=10.0)

    assert not drain.is_over(109.0, BUSY)
    assert drain.left(109.0) == 1.0
    assert drain.is_over(110.0, BUSY)
    assert drain.left(111.0) == 0.0
    assert Drain(100.0).left(111.0) is None


def test_an_accepted_connection_is_served_after_asyncio_stops_accepting() -> None:
    assert asyncio.run(answered(lambda server: stop_accepting([server]))) == b"hello"


async def answered(stop: Callable[[Any], Awaitable[None]]) -> bytes:
    """Return what a client receives if it connects just before a server is stopped.

    The server has called accept(2) by then, and has no transport yet.
    """
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Hello, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.setblocking(False)
        for _ in range(2):
            await asyncio.sleep(0)

        await stop(server)

        assert not server.is_serving()
        return await asyncio.wait_for(loop.sock_recv(client, 100), 10.0)


class Hello(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.write(b"hello")
        transport.close()


def test_only_the_leader_reports_the_number_of_requests_in_progress() -> None:
    """Each of several processes has only some of the requests."""
    program = """
import os, sys
from django_prodserver.backends.hooks.draining import Drain, Open
if sys.argv[1] == "leader":
    os.setsid()
drain = Drain(100.0)
drain.is_over(100.0, Open(4, busy=3))
drain.is_over(100.1, Open(1, busy=1))
"""
    heard = {}
    for role in ("leader", "worker"):
        with closing(NotifySocket()) as listener:
            env = {**not_measured(), "NOTIFY_SOCKET": listener.address}
            command = [sys.executable, "-W", "error", "-c", program, role]
            child = subprocess.Popen(command, env=env)
            child.wait()
            session = child.pid if role == "leader" else os.getsid(0)
            heard[role] = listener.receive(REF, session)

    assert heard == {"leader": [Notified(REF, status="3 requests")], "worker": []}
