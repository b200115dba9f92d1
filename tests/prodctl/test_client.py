"""The client of the control socket, in front of programs that are not a supervisor of ours."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_prodserver.posix.control.client import Client, Failure, NoAnswer, TimedOut

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Server:
    """Accepts one connection, and does with it what the test wants."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen()
        self.received = b""

    def accept(self) -> socket.socket:
        connection, _ = self._listener.accept()
        self.received = connection.recv(1 << 16)  # Who ends with this unread resets the connection.
        return connection

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "c.sock")
    yield made
    made.close()


def test_requests_for_status_and_logs_time_out_if_the_supervisor_is_silent(server: Server) -> None:
    with pytest.raises(TimedOut, match="does not answer"):
        Client(server.path, 0.01).get("/v1/status")
    with pytest.raises(TimedOut, match="does not answer"):
        list(Client(server.path, 0.01).lines("/v1/logs"))


def test_a_connection_that_closes_without_a_response_raises_no_answer(server: Server) -> None:
    failures: list[Failure] = []

    def ask() -> None:
        for asked in (Client(server.path).get, lambda to: list(Client(server.path).lines(to))):
            try:
                asked("/v1/logs")
            except Failure as failure:
                failures.append(failure)

    asking = threading.Thread(target=ask)
    asking.start()
    server.accept().close()
    server.accept().close()
    asking.join()

    assert [type(failure) for failure in failures] == [NoAnswer, NoAnswer]


class Follower(threading.Thread):
    """Reads the lines of the log, in a thread that has started."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self.found: list[bytes] = []
        self.first = threading.Event()
        self.start()

    def run(self) -> None:
        for line in self._client.lines("/v1/logs"):
            self.found.append(line)
            self.first.set()


def test_a_followed_log_line_may_arrive_later_than_the_timeout(server: Server) -> None:
    client = Client(server.path, 0.05)
    follower = Follower(client)
    with server.accept() as connection:
        connection.sendall(HEAD + b"one\n")
        follower.first.wait()
        follower.join(0.1)  # Twice the timeout.
        connection.sendall(b"two\n")
    follower.join()

    assert follower.found == [b"one", b"two"]


def test_hanging_up_ends_a_follower_that_waits_for_the_next_line(server: Server) -> None:
    client = Client(server.path)
    follower = Follower(client)
    with server.accept() as connection:
        connection.sendall(HEAD + b"one\n")
        follower.first.wait()
        client.hang_up()
        follower.join()

    assert follower.found == [b"one"]


def test_a_request_after_hanging_up_is_not_sent_and_raises_no_answer(server: Server) -> None:
    client = Client(server.path, 5)
    client.hang_up()

    with pytest.raises(NoAnswer):
        client.get("/v1/status")
    server.accept().close()
    assert server.received == b""
