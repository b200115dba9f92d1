"""What every server must do when it is stopped. See `tests.holding` and `tests.load`."""

from __future__ import annotations

import http.client
import signal
import socket
from pathlib import Path
from typing import Optional

from tests.holding import Life, Server, replaced_under_load
from tests.load import PATIENCE, Place, Work, body_of, path_of

TOKEN = "0123456789ab"
FAST = Work(200)
UPGRADE = b"""GET / HTTP/1.1\r
Host: tests\r
Upgrade: websocket\r
Connection: Upgrade\r
Sec-WebSocket-Version: 13\r
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
\r
"""
# Frames: a text masked with zeros (a client must mask), its echo, and the close frame.
HELLO, ECHOED, RESTARTED = b"\x81\x82\0\0\0\0hi", b"\x81\x02hi", b"\x88\x02\x03\xf4"


class Client(http.client.HTTPConnection):
    """A connection that reports whether the server has announced that it will close it."""

    def __init__(self, place: Place) -> None:
        host, port = ("localhost", None) if isinstance(place, str) else place
        super().__init__(host, port, timeout=PATIENCE)
        self._place = place

    def connect(self) -> None:
        if isinstance(self._place, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(PATIENCE)
            self.sock.connect(self._place)
        else:
            super().connect()

    def send_for(self, work: Work) -> None:
        self.request("GET", path_of(TOKEN, work))
        self._work = work

    def answer(self) -> Optional[str]:
        """Verify the response; return its `Connection` header."""
        with self.getresponse() as response:
            assert response.read() == body_of(TOKEN, self._work.size)
            return response.getheader("Connection")

    def ask(self, work: Work = FAST) -> Optional[str]:
        self.send_for(work)
        return self.answer()


def loses_nothing(server: Server, times: int = 5) -> None:
    """Replace lives under load; every request gets its response."""
    load = replaced_under_load(server, times)

    assert load.failures == [], server.said()
    assert sum(load.succeeded.values()) > 50 * times
    assert server.statuses == {0}


def tells_clients(server: Server) -> None:
    """Three connections each get a response after the stop signal, and learn that it is the last.

    At the signal, one has a request in progress, one a response whose headers are sent, and one is
    idle.
    """
    (life,) = server.lives
    slow, streamed, idle = clients = [Client(server.places[0]) for _ in range(3)]
    for client in clients:
        assert client.ask() is None
    slow.send_for(Work(200, before=1.0))
    streamed.send_for(Work(200, between=1.0, pieces=2))
    assert streamed.sock.recv(1, socket.MSG_PEEK) == b"H"

    ask_to_stop(server, life)
    while idle.ask() is None:
        """The signal has not arrived yet."""

    assert slow.answer() == "close"
    assert streamed.answer() is None
    assert streamed.ask() == "close"
    for client in clients:
        client.close()
    assert life.end() == 0
    server.lives.remove(life)


def refuses_connections(server: Server) -> None:
    """While it finishes a request, its own sockets refuse clients, which would wait in vain."""
    (life,) = server.lives
    slow = connected(server.places[0])
    slow.ask()
    slow.send_for(Work(200, before=1.0))

    ask_to_stop(server, life)
    while accepts(server.places[0]):
        """The signal has not arrived yet."""

    assert slow.answer() == "close"
    slow.close()
    assert life.end() == 0
    server.lives.remove(life)


def serves_everywhere(server: Server) -> None:
    """The first life and the one after it serve on every socket."""
    for _ in range(2):
        for place in server.places:
            client = Client(place)
            client.ask()
            client.close()
        server.replace()
    assert len(server.places) == len(server.sockets)
    assert all(Path(place).exists() for place in server.places if isinstance(place, str))


def closes_websockets(server: Server) -> None:
    """The server closes WebSockets with 1012, "service restart"."""
    (life,) = server.lives
    with socket.create_connection(server.places[0], timeout=PATIENCE) as client:  # type: ignore[arg-type]
        client.sendall(UPGRADE)
        assert b" 101 " in client.recv(1000)
        client.sendall(HELLO)
        assert client.recv(100) == ECHOED

        ask_to_stop(server, life)

        assert client.recv(100) == RESTARTED
    assert life.end() == 0
    server.lives.remove(life)


def ask_to_stop(server: Server, life: Life) -> None:
    life.signal(signal.Signals[server.backend.stop_signal])


def connected(place: Place) -> Client:
    """Connect to a server that may not be listening yet."""
    while not accepts(place):
        """A matter of milliseconds."""
    return Client(place)


def accepts(place: Place) -> bool:
    with socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET) as client:
        return client.connect_ex(place) == 0
